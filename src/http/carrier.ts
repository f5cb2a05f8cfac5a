/** Fastify, without what meshidp does by other means: its logger, and its JSON schemas, whose compilers would cost 10 MiB and 50 ms of every start. */
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'

const neverUsed = () => () => {
  throw new Error('meshidp gives no schema to fastify: zod reads what comes in, and a reply is text already')
}

/** An application without routes. */
export const createCarrier = (options: FastifyServerOptions = {}): FastifyInstance =>
  Fastify({ logger: false, schemaController: { compilersFactory: { buildValidator: neverUsed, buildSerializer: neverUsed } }, ...options })
