# Runs first in the namespaces of a host: mounts its root and goes there. $1 = directory of the host.
set -eu
cd "$1"
mount --make-rprivate /
rm -rf disk/work
mkdir -p disk/upper disk/work root
mount -t overlay overlay -o lowerdir=/,upperdir=disk/upper,workdir=disk/work root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755,size=64m tmpfs dev
for n in null zero full random urandom tty fuse; do
  if [ -e "/dev/$n" ]; then : >"dev/$n"; mount --bind "/dev/$n" "dev/$n"; fi
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
# What would reach the machine itself: its own power switch.
if [ -e proc/sysrq-trigger ]; then mount --bind /dev/null proc/sysrq-trigger; fi
pivot_root . mnt
cd /
umount -l /mnt
exec /usr/lib/hostlab/init
