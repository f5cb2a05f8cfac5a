/** The units that make a backup each night. */
import { hardening } from './hardening.ts'

export const backupUnit = (
  program: string,
): string => `# Into /var/lib/meshidp-backup, the newest 14. Encrypted, or elsewhere: "systemctl edit meshidp-backup.service", [Service], ExecStart= (empty) and
# ExecStart=${program} backup --recipient-file /etc/meshidp/recipients --keep 14 DIRECTORY
[Unit]
Description=Backup of meshidp
ConditionPathExists=/var/lib/meshidp/meshidp.db

[Service]
Type=oneshot
ExecStart=${program} backup --keep 14 /var/lib/meshidp-backup
Nice=10
IOSchedulingClass=idle

User=meshidp
Group=meshidp
StateDirectory=meshidp meshidp-backup
StateDirectoryMode=0700
ConfigurationDirectory=meshidp
ConfigurationDirectoryMode=0755
UMask=0077

${hardening}
PrivateUsers=yes
# It reads files and writes one.
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
`

export const backupTimer = `[Unit]
Description=A backup of meshidp each night

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
# One that was missed is made up for.
Persistent=yes

[Install]
WantedBy=timers.target
`
