# Pings of `vmnet check` from another machine, side by side: ADDRESS/TRIES/SIZE... Prints a line for each.
# Only what all shells know. BSD's ping counts its patience in milliseconds.
PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin
case $(uname -s) in Linux) patience=1 ;; Darwin | FreeBSD) patience=1000 ;; *) exit 98 ;; esac
command -v ping > /dev/null 2>&1 || exit 97
set -f
one() { # ADDRESS TRIES SIZE: where large ones are not answered, a small one is sent
    ping=ping size=$3
    case $1 in
        *:*) if command -v ping6 > /dev/null 2>&1; then ping=ping6; else ping="ping -6"; fi ;;
    esac
    n=0
    while [ "$n" -lt "$2" ]; do
        n=$((n + 1))
        out=$($ping -n -c 1 -s "$size" -W "$patience" "$1" 2>&1 < /dev/null | tr '\n' ' ')
        case $out in *" 0% packet"* | *" 0.0% packet"*) break ;; esac
        if [ "$n" -eq "$2" ] && [ "$size" -ne 56 ]; then
            size=56 n=$((n - 1))
        fi
    done
    echo "vmnet $1 $n $size $out"
}
i=0
for word; do
    rest=${word#*/}
    one "${word%%/*}" "${rest%/*}" "${rest#*/}" &
    i=$((i + 1))
    [ $((i % 32)) -ne 0 ] || wait
done
wait
