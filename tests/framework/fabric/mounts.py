"""What a simulated host sees of its own in the file system: /dev, /run, vmnet's and libvirt's."""

# A /dev as of a host without /dev/kvm: libvirt moves no file that is mounted there, as vmnet's
# cover of a KVM that does not work is. Nothing stays below it, since it moves what is hidden, too.
OWN_DEV = """\
mount --make-rprivate /
new=$(mktemp -d)
mount -t tmpfs dev "$new"
for node in full null ptmx random tty urandom zero; do cp -a /dev/$node "$new"; done
mkdir "$new/pts" "$new/shm"
mount --bind /dev/pts "$new/pts"
mount -t tmpfs shm "$new/shm"
for old in $(awk '$5 ~ "^/dev(/|$)" {print $5}' /proc/self/mountinfo | sort -r); do
    umount -l "$old"
done
mount --move "$new" /dev
rmdir "$new"
"""

# On top of it, what programs of a whole host use: QEMU, sshd, ssh and Ansible.
HOST_DEV = f"""\
mkdir /mnt/old-dev
mount --bind /dev /mnt/old-dev
{OWN_DEV}
mkdir /dev/net
for node in net/tun vhost-net; do
    [ ! -e /mnt/old-dev/$node ] || cp -a /mnt/old-dev/$node /dev/$node
done
umount -l /mnt/old-dev
ln -s /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s /proc/self/fd/${{n%%:*}} /dev/${{n#*:}}; done
"""

# Its files are where every host has them, but nobody else sees them. The cache of images is shared,
# what is on the way into it is not. Whoever removes an empty /var/lib/vmnet elsewhere would take
# away what is mounted on that folder here, so it is one of an overlay.
# /mnt is where they are; libvirt's own mount namespaces for QEMU would be confused by that.
HOST = """\
mount -t tmpfs tmpfs /mnt
{host_dev}
mkdir /mnt/over /mnt/work
over=lowerdir=/var/lib,upperdir=/mnt/over,workdir=/mnt/work
mount -t overlay -o $over overlay /var/lib || :
cp -a /etc/libvirt /mnt/etc
rm -rf /mnt/etc/qemu/networks/autostart
echo 'namespaces = []' >> /mnt/etc/qemu.conf
echo 'host_uuid = "{uuid}"' >> /mnt/etc/libvirtd.conf
mkdir -p /mnt/lib /mnt/cache /mnt/log /mnt/vmnet /mnt/run/lock /mnt/run/libvirt /mnt/run/sshd
if [ -d /var/cache/vmnet/libvirt/qemu ]; then cp -a /var/cache/vmnet/libvirt/qemu /mnt/cache/; fi
for x in lib cache log; do mount --bind /mnt/$x /var/$x/libvirt; done
mount --bind /mnt/etc /etc/libvirt
mkdir -p /var/lib/vmnet
mount --bind /mnt/vmnet /var/lib/vmnet
mkdir -p /mnt/downloads /var/cache/vmnet/downloads
mount --bind /mnt/downloads /var/cache/vmnet/downloads
mount --rbind /mnt/run /run
mount --bind {room}/hosts /etc/hosts
mount --bind {room}/client /etc/ssh/ssh_config
hostname {name}
"""


def host(name: str, uuid: str, room: str) -> str:
    """Return the script that prepares the mount namespace of a host."""
    return HOST.format(host_dev=HOST_DEV, name=name, uuid=uuid, room=room)
