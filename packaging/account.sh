# VMs run as the account that Debian's libvirt uses. Debian 13 makes it with the driver, Debian 12 only
# with the daemon, which nobody needs here: it is made as there, so that the daemon finds it.
# Read by tools/setup.sh and a part of the package's postinst; for any POSIX shell, as root.
make_account() {
    own=64055 # reserved for it by Debian
    getent group kvm || groupadd --system kvm
    getent group libvirt-qemu || groupadd --system --gid $own libvirt-qemu ||
        groupadd --system libvirt-qemu
    ! getent passwd $own || own=""
    useradd --system ${own:+--uid $own} --gid kvm --groups libvirt-qemu --comment "Libvirt Qemu" \
        --home-dir /var/lib/libvirt --no-create-home --shell /usr/sbin/nologin libvirt-qemu
}
