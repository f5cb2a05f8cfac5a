/**
 * Identity where tailscaled has a TUN device: the connection itself comes from a mesh address.
 *
 * Trusts: the kernel's addresses of the connection, tailscaled's whois, and its firewall rules, which keep mesh addresses from
 * arriving by other ways; those rules are gone when the mesh is down (S1), so the near end has to be a mesh address of ours, too.
 * Headers count for nothing.
 */
import { unmapped } from './address.ts'
import { nobody } from './nobody.ts'
import { isFunnelled, type Strategy, type Surroundings } from './strategy.ts'

export function tun({ callers, isMesh, allowSelf }: Surroundings): Strategy {
  return (connection, mesh) => {
    const source = unmapped(connection.remoteAddress)
    if (isFunnelled(connection)) return nobody('funnel', source)
    if (!mesh.addresses.has(unmapped(connection.localAddress))) return nobody('not_mesh', source)
    // A proxy on this very node would lend its owner's identity to everybody behind it.
    if (allowSelf && mesh.addresses.has(source) && connection.headers['x-forwarded-for'] !== undefined) return nobody('self', source)

    const known = callers.known(source)
    if (known) return known
    if (!isMesh(source)) return nobody('not_mesh', source)
    return callers.ask(source) // without port: a miss with one stalls tailscaled for everybody (S2)
  }
}
