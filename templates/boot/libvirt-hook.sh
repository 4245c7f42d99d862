#!/bin/sh
# Made by vmnet boot install; vmnet boot remove takes it away with the last plan.
# libvirt calls it before it starts a domain (https://libvirt.org/hooks.html): the macvtaps of a
# domain of vmnet's have gone with the last boot, and libvirt does not make them. Any other domain is
# none of its business. It must not ask libvirt anything: libvirt waits for it.
[ "$2" = prepare ] || exit 0
xml=$(cat)
case $xml in
*urn:vmnet:domain:1*) printf '%s' "$xml" | @DEVICES@ "$1" ;;
esac
