"""BPF programs: which frames a packet socket receives.

The kernel takes a VLAN tag out of the frame before a packet socket sees it, so a frame of another
VLAN looks untagged: the filters ask for the tag itself. Priority tags (VLAN 0) pass.
"""

import struct
from typing import Final

_ARP, _IPV6, _ICMPV6 = 0x0806, 0x86DD, 58
_REPLY: Final = 2  # of ARP
_SOLICITATION, _ADVERTISEMENT = 135, 136

# linux/bpf_common.h: BPF_LD | BPF_ABS of each size, BPF_ALU | BPF_AND, BPF_JMP | BPF_JEQ, BPF_RET
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _MASK, _EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x54, 0x15, 0x06
_INDEXED_BYTE, _IP_HEADER, _ANY_BIT = 0x50, 0xB1, 0x45  # BPF_LD | BPF_IND, BPF_LDX | BPF_MSH, JSET
_VLAN_TAG: Final = 0xFFFFF000 + 44  # SKF_AD_OFF + SKF_AD_VLAN_TAG
_DIRECTION: Final = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_TO_HOST, _OUTGOING = 0, 4  # linux/if_packet.h: PACKET_HOST, PACKET_OUTGOING
_REJECT, _ACCEPT = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 2048)


def _assembled(*program: tuple[int, int, int, int]) -> bytes:
    """Assemble a classic BPF program (struct sock_filter[]); jumps are counted in instructions."""
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def ethertype_only(ethertype: int) -> bytes:
    """Assemble a BPF program that accepts the frames of one ethertype."""
    return _assembled((_LOAD_HALF, 0, 0, 12), (_EQUAL, 0, 1, ethertype), _ACCEPT, _REJECT)


ANSWERS_ONLY: Final = _assembled(
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_MASK, 0, 0, 0x0FFF),
    (_EQUAL, 0, 9, 0),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUAL, 0, 2, _ARP),
    (_LOAD_HALF, 0, 0, 20),
    (_EQUAL, 6, 5, _REPLY),
    (_EQUAL, 0, 4, _IPV6),
    (_LOAD_BYTE, 0, 0, 20),
    (_EQUAL, 0, 2, _ICMPV6),
    (_LOAD_BYTE, 0, 0, 54),
    (_EQUAL, 1, 0, _ADVERTISEMENT),
    _REJECT,
    _ACCEPT,
)
"""A classic BPF program that accepts ARP replies and neighbour advertisements."""

QUESTIONS_AND_ANSWERS: Final = _assembled(
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_MASK, 0, 0, 0x0FFF),
    (_EQUAL, 0, 8, 0),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUAL, 7, 0, _ARP),
    (_EQUAL, 0, 5, _IPV6),
    (_LOAD_BYTE, 0, 0, 20),
    (_EQUAL, 0, 3, _ICMPV6),
    (_LOAD_BYTE, 0, 0, 54),
    (_EQUAL, 2, 0, _SOLICITATION),
    (_EQUAL, 1, 0, _ADVERTISEMENT),
    _REJECT,
    _ACCEPT,
)
"""The same with the questions: all of ARP, neighbour solicitations and advertisements."""

TOLD_TO_MANY: Final = _assembled(
    (_LOAD_WORD, 0, 0, _VLAN_TAG),
    (_MASK, 0, 0, 0x0FFF),
    (_EQUAL, 0, 7, 0),
    (_LOAD_BYTE, 0, 0, 0),
    (_ANY_BIT, 6, 0, 1),
    (_LOAD_HALF, 0, 0, 12),
    (_EQUAL, 4, 0, _ARP),
    (_EQUAL, 0, 2, _IPV6),
    (_LOAD_BYTE, 0, 0, 20),
    (_EQUAL, 1, 0, _ICMPV6),
    _REJECT,
    _ACCEPT,
)
"""All that is sent to many, and ARP and ICMPv6 that is sent to one."""


def beginnings(*, of_others: bool) -> bytes:
    """Assemble a BPF program that accepts what an exchange of two ends begins with, and its answer.

    That is ARP, ICMP, ICMPv6, UDP and the first packets of TCP: outgoing frames and those that are
    for the receiver alone, as a macvtap has them; with `of_others` all that arrive.
    """
    pass_through = ((_LOAD_BYTE, 0, 0, _DIRECTION), (_EQUAL, 0, 0, 0), (_EQUAL, 0, 0, 0))
    chosen = (
        (_LOAD_BYTE, 0, 0, _DIRECTION),
        (_EQUAL, 1, 0, _OUTGOING),
        (_EQUAL, 0, 17, _TO_HOST),
    )
    return _assembled(
        (_LOAD_WORD, 0, 0, _VLAN_TAG),
        (_MASK, 0, 0, 0x0FFF),
        (_EQUAL, 0, 20, 0),
        *(pass_through if of_others else chosen),
        (_LOAD_HALF, 0, 0, 12),
        (_EQUAL, 17, 0, _ARP),
        (_EQUAL, 1, 0, 0x0800),
        (_EQUAL, 7, 14, _IPV6),
        (_LOAD_BYTE, 0, 0, 23),
        (_EQUAL, 13, 0, 1),  # ICMP
        (_EQUAL, 12, 0, 17),  # UDP
        (_EQUAL, 0, 10, 6),  # TCP
        (_IP_HEADER, 0, 0, 14),
        (_INDEXED_BYTE, 0, 0, 27),
        (_ANY_BIT, 8, 7, 0x02),  # SYN
        (_LOAD_BYTE, 0, 0, 20),
        (_EQUAL, 6, 0, _ICMPV6),
        (_EQUAL, 5, 0, 17),
        (_EQUAL, 0, 3, 6),
        (_LOAD_BYTE, 0, 0, 67),
        (_ANY_BIT, 2, 1, 0x02),
        _REJECT,
        _REJECT,
        _ACCEPT,
    )
