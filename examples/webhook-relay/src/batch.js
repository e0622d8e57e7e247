// The events that were read and are not acknowledged, in the order in which they were delivered to us.
// An event: { id, dealId, kind, body } and
//     state      'waiting', 'in flight' or 'done'; done: the receiver has it, or it is a dead letter
//     tries      failed ones
//     notBefore  when the next try may be

export class Batch {
    #events;

    // Events that come again keep what is known of them.
    constructor(rows = [], before = undefined) {
        const known = new Map(before?.#events.map((event) => [event.id, event]));
        this.#events = rows.map((row) => known.get(row.id) ?? { ...row, state: 'waiting', tries: 0, notBefore: 0 });
    }

    get isEmpty() {
        return this.#events.length === 0;
    }

    count(state) {
        return this.#events.filter((event) => event.state === state).length;
    }

    // The events whose turn it is: of each deal the first that is not done, unless it is in flight. While stopping
    // none behind one that has failed: it could not be acknowledged, and would be sent again.
    *turns(stopping) {
        const deals = new Set();
        for (const event of this.#events) {
            if (event.state === 'done' || deals.has(event.dealId)) continue;
            deals.add(event.dealId);
            if (event.state === 'waiting') yield event;
            if (stopping && event.tries > 0) return;
        }
    }

    // The last event of those that are done without a gap: acknowledging it acknowledges all before it.
    get lastDone() {
        const gap = this.#events.findIndex((event) => event.state !== 'done');
        return (gap < 0 ? this.#events.at(-1) : this.#events[gap - 1])?.id;
    }

    acknowledged(id) {
        this.#events.splice(0, this.#events.findIndex((event) => event.id === id) + 1);
    }
}
