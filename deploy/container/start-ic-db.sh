#!/usr/bin/env bash
# The IC databases in a container. Used like Kube-OVN's script of the same name:
#   docker run -d --network=host --cap-drop=ALL --security-opt=no-new-privileges -v /etc/ovn/:/etc/ovn \
#     -v /var/run/ovn:/var/run/ovn -v /var/log/ovn:/var/log/ovn -e ENABLE_SSL=... -e LOCAL_IP=... \
#     -e NODE_IPS=... -e LEADER_IP=... isthmus-ic-db:0.1.0 bash start-ic-db.sh
# It needs neither --privileged nor any capability. The mounted directories must belong to root.
# `isthmus ic-db run` reads LOCAL_IP, NODE_IPS, LEADER_IP, ENABLE_SSL, TS_NAME, TS_CIDR, TS_NUM and
# PROTOCOL from the environment, and ISTHMUS_TLS_DIR and ISTHMUS_AUTHORIZE. Members start in any order.
# Clear text must be requested with ENABLE_SSL=false. Without LEADER_IP the first of NODE_IPS is the bootstrap member. More flags are accepted:
#   bash start-ic-db.sh --founder 192.0.2.1
set -euo pipefail

flags=(--data-dir /etc/ovn --run-dir /var/run/ovn --log-dir /var/log/ovn)
if [[ -z ${NODE_IPS:-} ]]; then
    # Stand-alone without LOCAL_IP: listen on every address, like Kube-OVN.
    every=0.0.0.0
    if grep --quiet . /proc/net/if_inet6 2>/dev/null; then every=::; fi
    flags+=(--listen "${LOCAL_IP:-$every}")
fi
exec isthmus ic-db run "${flags[@]}" "$@"
