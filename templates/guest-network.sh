# Run inside a guest by its agent: configure one network card, which may have just been plugged in.
#   sh -c "$(this)" network MAC MTU [DHCP(0|1) RA(0|2) [ADDRESS/PREFIX | via:ROUTER]...]
mac=$1 mtu=$2
shift 2
nic= tries=100
while [ -z "$nic" ]; do
	for path in /sys/class/net/*; do
		read -r found < "$path/address" && [ "$found" = "$mac" ] && nic=${path##*/} && break
	done
	tries=$((tries - 1))
	[ -n "$nic" ] || [ $tries -gt 0 ] || { echo "there is no network card $mac" >&2; exit 1; }
	[ -n "$nic" ] || sleep 0.1
done
[ $# -gt 0 ] || exec ip link set dev "$nic" mtu "$mtu"
dhcp=$1 ra=$2
shift 2
conf=/proc/sys/net/ipv6/conf/$nic
[ ! -e "$conf" ] || { echo "$ra" > "$conf/accept_ra"; echo 0 > "$conf/accept_dad"; }
for pid in /proc/[0-9]*; do # a DHCP client of this card would put its lease back
	case $(tr '\0' ' ' < "$pid/cmdline" 2> /dev/null) in
	*udhcpc*"-i $nic "* | *dhclient*" $nic "*) kill "${pid##*/}" ;;
	esac
done
ip addr flush dev "$nic" scope global
ip link set dev "$nic" mtu "$mtu" up || exit 1
for one; do
	case $one in
	via:*:*) ip -6 route replace default via "${one#via:}" dev "$nic" || exit 1 ;;
	via:*) ip -4 route replace default via "${one#via:}" dev "$nic" || exit 1 ;;
	*) ip addr add "$one" dev "$nic" || exit 1 ;;
	esac
done
[ "$dhcp" = 0 ] && exit 0
if [ -e /etc/vmnet/dhcp ]; then # the micro image
	udhcpc -f -i "$nic" -t 20 -T 1 -A 2 -x "hostname:$(hostname)" -s /etc/vmnet/dhcp > /dev/null 2>&1 &
elif command -v networkctl > /dev/null && networkctl up "$nic"; then
	networkctl reconfigure "$nic"
else
	dhclient "$nic"
fi
