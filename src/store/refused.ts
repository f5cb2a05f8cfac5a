/** The store will not be opened as it is. The message says what is wrong and what to do about it, for the person who starts the daemon. */
export class StoreRefused extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StoreRefused'
  }
}

/** Another process holds the lock of the state directory. */
export class StateInUse extends StoreRefused {}
