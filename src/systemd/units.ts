/** The unit files: those in systemd/ are made from this, and `meshidp service install` writes them as this machine needs them. */

import { backupTimer, backupUnit } from './backup_units.ts'
import { hardening } from './hardening.ts'

export type Place = {
  /** Absolute path of the program, without spaces. */
  program: string
  /** What is listened on: "100.64.0.1:443", "[fd7a::1]:443", or the path of a unix socket. */
  listen: readonly string[]
  /** How callers are known; with `userspace` the service must see which user opened a connection. */
  identity: 'tun' | 'userspace' | 'serve'
  /** With `serve`: who else may connect to the unix socket, such as the group that tailscaled runs as. */
  group?: string | undefined
}

/** Unit name → its text. */
export type Units = ReadonlyMap<string, string>

const socketUnit = ({
  listen,
  identity,
  group,
}: Place): string => `# The sockets, open also while the service is not there: a restart refuses no connection, and no capability is needed for a low port.
# "meshidp service install" writes an address of this node in the mesh into each ListenStream=. When the node gets others:
# "meshidp service install --now" writes them, and starts the sockets anew.
[Unit]
Description=Sockets of meshidp

[Socket]
${listen.map((where) => `ListenStream=${where}`).join('\n')}
${
  identity === 'serve'
    ? `# Only root${group === undefined ? '' : ` and the group ${group}`}, whom tailscaled runs as, may connect: who can write here can say who they are.\n${group === undefined ? 'SocketMode=0600' : `SocketGroup=${group}\nSocketMode=0660`}`
    : '# The mesh may come up later than this socket.\nFreeBind=yes'
}

[Install]
WantedBy=sockets.target
`

const serviceUnit = ({
  program,
  identity,
}: Place): string => `# Works on systemd 252 and later. Exposure by "systemd-analyze security meshidp": see the exceptions below.
[Unit]
Description=meshidp, sign-in for a private mesh
Requires=meshidp.socket
After=meshidp.socket network.target tailscaled.service
Wants=tailscaled.service
# What no restart heals (a policy that is not usable, a damaged database) is tried ten times, and then it is failed: "systemctl status meshidp" says why.
StartLimitIntervalSec=120
StartLimitBurst=10

[Service]
Type=notify
# The words are told by systemd-notify, a process of its own.
NotifyAccess=all
ExecStart=${program} serve
# Waits for the verdict, so "systemctl reload meshidp" fails, with the reason, where the policy is not usable.
ExecReload=${program} reload
Restart=always
RestartSec=1
# The first start of a newer program copies the database and changes its schema, which takes as long as the database is large: cut off, it would begin anew for
# ever. What a start asks of others (tailscaled, a certificate) has deadlines of its own.
TimeoutStartSec=infinity
TimeoutStopSec=20
# A daemon whose event loop or store does not answer is started anew.
WatchdogSec=60
LimitNOFILE=65536

User=meshidp
Group=meshidp
StateDirectory=meshidp
StateDirectoryMode=0700
RuntimeDirectory=meshidp
RuntimeDirectoryMode=0700
ConfigurationDirectory=meshidp
ConfigurationDirectoryMode=0755
# Signing keys may come as credentials instead of lying in the state directory:
#LoadCredentialEncrypted=succession.key:/etc/credstore.encrypted/meshidp.succession.key
UMask=0077

${hardening}
${
  identity === 'userspace'
    ? "# In a user namespace the owner of tailscaled's connections could not be told from any other user, so nobody would have an identity.\nPrivateUsers=no"
    : 'PrivateUsers=yes'
}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
# Only this machine and the mesh. Client ID Metadata Documents come from the internet: where the policy lets them in, allow it by
# "systemctl edit meshidp": [Service] IPAddressDeny= (empty).
IPAddressDeny=any
IPAddressAllow=localhost
IPAddressAllow=100.64.0.0/10
IPAddressAllow=fd7a:115c:a1e0::/48

# What systemd-analyze still counts, and why: MemoryDenyWriteExecute=, for V8 compiles at run time; PrivateNetwork=, AF_INET, AF_INET6 and the addresses of
# the mesh, for it serves a network; AF_UNIX, for tailscaled and journald; NotifyAccess=all, see above; RootDirectory=, for it runs from where it is installed.

[Install]
WantedBy=multi-user.target
`

const sysusers = `# The user that the daemon runs as.
u meshidp - "meshidp, sign-in for a private mesh" /var/lib/meshidp
`

const tmpfiles = `# Configuration and policy: root writes them, the daemon reads them.
d /etc/meshidp 0755 root root -
`

/** All of them, as `place` needs them. */
export const unitsOf = (place: Place): Units =>
  new Map([
    ['system/meshidp.service', serviceUnit(place)],
    ['system/meshidp.socket', socketUnit(place)],
    ['system/meshidp-backup.service', backupUnit(place.program)],
    ['system/meshidp-backup.timer', backupTimer],
    ['sysusers.d/meshidp.conf', sysusers],
    ['tmpfiles.d/meshidp.conf', tmpfiles],
  ])

/** As systemd/ has them: on a node with a TUN device. */
export const example: Place = { program: '/usr/local/bin/meshidp', listen: ['100.64.0.1:443', '[fd7a:115c:a1e0::1]:443'], identity: 'tun' }

/** Those that are started, and at each boot again; the others are started by them. */
export const startedUnits = ['meshidp.socket', 'meshidp.service', 'meshidp-backup.timer']
