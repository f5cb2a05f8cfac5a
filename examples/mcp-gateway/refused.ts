/** Somebody said no, in words for whoever asked: an agent reads them, and tells its person. */
import { ErrorCode } from '@modelcontextprotocol/sdk/types.js'

export class Refused extends Error {
  override name = 'Refused'
  /** Of JSON-RPC, where it answers what is no tool's call. */
  readonly code = ErrorCode.InvalidRequest
}

/** A server behind does not take the token that it was shown (401). Nothing was done. */
export class TokenRefused extends Refused {}
