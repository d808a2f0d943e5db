#!/bin/sh
# Vagrant's provisioner: the README's own set-up inside the guest, then the two programs on everybody's path.
# Where the guest has no network, the Python packages come from a folder of wheels that `make box` put beside the box,
# and of the servers and clients there are those of the box.
set -eu
cd /vagrant
wheels=/opt/ebpf-rec-wheels
programs=programs
if [ -d $wheels ]; then
    PIP_NO_INDEX=1 PIP_FIND_LINKS=$wheels
    export PIP_NO_INDEX PIP_FIND_LINKS
    programs=
fi
scripts/setup.sh python recording $programs
for program in ebpf-rec ebpf-replay; do
    ln -sf "/vagrant/.venv/bin/$program" "/usr/local/bin/$program"
done
chown -R vagrant: /vagrant/.venv
install -d -m 700 /var/cache/ebpf-rec # where the compiled kernel program is kept for the next start
systemctl enable -q --now nginx # something to record; the set-up keeps it stopped elsewhere
uname -r
