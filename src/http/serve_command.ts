import { type LiveConfig, tailscaleOn } from '../config.ts'

/** What makes tailscaled speak https with the mesh, and forward to our socket. */
export function serveCommand({ issuer, listen, mesh }: LiveConfig): string {
  return `${tailscaleOn(mesh.socket)} serve --bg --https=${new URL(issuer).port || 443} unix:${listen.socket}`
}
