# Run a program and keep the first bytes of its output: STDOUT-BYTES STDERR-BYTES PROGRAM WORD...
# So no answer grows beyond what libvirt takes (10 MiB, and 4 MiB where it is a daemon): one that did
# would cost the connection to the agent. The rest is read and thrown away: the program ends as it
# would have.
keep() { head -c "$1"; cat > /dev/null; }
out=$1 err=$2
shift 2
{ status=$(
    { {
        { (exec "$@" 2>&6 3>&- 4>&- 5>&- 6>&-); echo $? >&5; } 6>&2 2> /dev/null | keep "$out" >&3
    } 2>&1 | keep "$err" >&4; } 5>&1
); } 3>&1 4>&2
exit "$status"
