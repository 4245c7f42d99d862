# What vmnet asks inside a guest: KIND WORD... Exit status 97: the guest has no tool for it.
# The words are arguments of their own: no shell parses them.
kind=$1
shift
case $kind in
    tcp) # ADDRESS PORT SECONDS
        if command -v bash > /dev/null; then
            exec timeout "$3" bash -c 'exec 3<> "/dev/tcp/$1/$2"' tcp "$1" "$2" 2>&1
        elif command -v python3 > /dev/null; then
            exec python3 -c 'import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))' "$1" "$2" "$3" 2>&1
        elif nc --help 2>&1 | grep -q BusyBox; then
            exec timeout "$3" nc -w "$3" "$1" "$2" -e true 2>&1
        elif command -v nc > /dev/null; then
            exec nc -z -w "$3" "$1" "$2" 2>&1
        fi
        ;;
    udp) # ADDRESS PORT SECONDS
        command -v bash > /dev/null || exit 97
        exec timeout "$3" bash -c 'exec 3<> "/dev/udp/$1/$2"; echo >&3 && read -r -n 1 <&3' \
            u "$1" "$2" 2>&1
        ;;
    dns) # NAME SERVER SECONDS; without a server the guest's own
        if command -v nslookup > /dev/null; then
            exec timeout "$3" nslookup "$1" ${2:+"$2"} 2>&1
        elif [ -z "$2" ] && command -v getent > /dev/null; then
            exec timeout "$3" getent ahosts "$1" 2>&1
        fi
        ;;
    http) # URL SECONDS
        if command -v curl > /dev/null; then
            exec curl -sS -o /dev/null -m "$2" --max-filesize 16777216 \
                -w 'HTTP/1.1 %{http_code}\n' "$1" 2>&1
        elif command -v wget > /dev/null; then
            exec timeout "$2" wget -S -q -O /dev/null "$1" 2>&1
        fi
        ;;
    ping) # ADDRESS COUNT INTERVAL
        case $1 in *:*) v=-6 ;; *) v=-4 ;; esac
        exec ping $v -n -c "$2" -i "$3" -W 1 "$1" 2>&1
        ;;
    pings) # WAIT LANES [S|N]EVERY,COUNT,SIZE,ADDRESS,FROM...: each a process of its own
        # In an emulated guest a process costs 10 ms and more, and each ping of busybox's gets the
        # answers to all others: so few run at a time, one after another in each lane. Each ping
        # writes its lines at once, when it ends. The next packet always goes out after the
        # interval: where busybox is to send it at an answer (-A), its timer may interrupt it
        # meanwhile, and a packet with a wrong checksum leaves.
        # S and N: it should be silent, and comes before the others, in no lane. S: a moment after
        # they have ended, nobody waits for it any longer.
        # The kernel sets "don't fragment" on all that its own device can take whole. It counts all
        # answers, also those that the socket of a ping has no room for.
        wait=$1 lanes=$2 counters="/proc/net/snmp /proc/net/snmp6"
        silent='' others='' lane=0
        shift 2
        ask() { # exec, or nothing, and a word
            run=$1 word=${2#[SN]}
            every=${word%%,*} word=${word#*,}
            count=${word%%,*} word=${word#*,}
            size=${word%%,*} word=${word#*,}
            a=${word%,*} from=${word#*,}
            case $a in *:*) v=-6 ;; *) v=-4 ;; esac
            set -- $v -c "$count" -i "$every" -W "$wait" -s "$size" ${from:+-I "$from"}
            $run ping "$@" "$a"
        }
        grep -h ^Icmp $counters
        for word; do
            shift
            case $word in
                S*) ask exec "$word" & silent="$silent $!" ;;
                N*) ask exec "$word" & ;;
                *) set -- "$@" "$word" ;;
            esac
        done
        while [ $lane -lt "$lanes" ] && [ $lane -lt $# ]; do
            n=0
            for word; do
                [ $((n % lanes)) != $lane ] || ask '' "$word"
                n=$((n + 1))
            done &
            others="$others $!"
            lane=$((lane + 1))
        done
        # shellcheck disable=SC2086
        [ -z "$silent" ] || [ -z "$others" ] || {
            wait $others
            sleep 0.3 || sleep 1
            kill -INT $silent
        } 2> /dev/null
        wait
        grep -h ^Icmp $counters
        exit 0
        ;;
    nics) # a line for each device that is not virtual: index, MAC, flags
        cd /sys/class/net || exit 1
        for nic in *; do
            [ -e "$nic/device" ] || continue
            read -r index < "$nic/ifindex"; read -r mac < "$nic/address"
            read -r flags < "$nic/flags"
            echo "$index $mac $flags"
        done
        exit 0
        ;;
    stack) # MAC ADDRESS: what the kernel counts, how it would send to the address, what drops
        for nic in /sys/class/net/*; do
            read -r mac < "$nic/address" && [ "$mac" = "$1" ] && [ -e "$nic/device" ] || continue
            read -r rx < "$nic/statistics/rx_packets"; read -r tx < "$nic/statistics/tx_packets"
            echo "nic name ${nic##*/}"; echo "nic rx $rx"; echo "nic tx $tx"
        done
        cat /proc/net/snmp /proc/net/snmp6 /proc/net/netstat 2> /dev/null
        case $2 in
            *:*) v=-6 ignores=/proc/sys/net/ipv6/icmp/echo_ignore_all rules=ip6tables ;;
            *) v=-4 ignores=/proc/sys/net/ipv4/icmp_echo_ignore_all rules=iptables ;;
        esac
        read -r ignored < $ignores # read from byte to byte it has no end of a line
        echo "ignores $ignored"
        ip $v route get "$2" 2>&1 | { read -r line && echo "route $line"; }
        { command -v nft > /dev/null && nft list ruleset || $rules -S; } 2> /dev/null |
            grep -E '\b(drop|reject|DROP|REJECT)\b' | while read -r line; do echo "drop $line"; done
        exit 0
        ;;
    iperf3) # ADDRESS PORT SECONDS
        command -v iperf3 > /dev/null || exit 97
        exec iperf3 -c "$1" -p "$2" -t "$3" -J 2>&1
        ;;
    send) # ADDRESS PORT SECONDS
        exec timeout "$3" sh -c 'dd if=/dev/zero bs=65536 2> /dev/null | nc "$1" "$2"' \
            send "$1" "$2"
        ;;
esac
exit 97
