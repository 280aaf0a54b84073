// What a client tells those who listen.

/** The state of a client has changed. */
export class StateEvent extends Event {
  constructor(state, error) {
    super("state");
    this.state = state;
    this.error = error;
  }
}

/** The broker refused something that was published; flush() will say so too. */
export class RefusedEvent extends Event {
  constructor(error) {
    super("refused");
    this.error = error;
  }
}

/** The broker cannot read messages of a stream any more; it went on behind them. */
export class DamagedEvent extends Event {
  constructor(error) {
    super("damaged");
    this.error = error;
  }
}
