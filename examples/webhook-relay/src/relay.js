// Reads events under a lease, has them sent, acknowledges them.
//
// Two sides share the batch. The sending side starts requests whenever something has changed, and needs no
// database. The database side is one loop, #serve: it acknowledges what is done, then reads. It sleeps on a bell,
// which the sending side, the doorbell of crm_deals and a lost connection ring.
//
// Two things keep two relays of one consumer from sending the same event. A lock of the session says which of
// them reads. The lease covers what the lock cannot: a relay that lost its connection, and so the lock, but sends.
import { setTimeout as sleep } from 'node:timers/promises';
import { backoff } from './backoff.js';
import { Batch } from './batch.js';
import { Bell } from './bell.js';
import { Database, isPermanent } from './database.js';
import { problem } from './log.js';

const reconnect = { base: 200, max: 15_000 };
const takeoverPoll = 1000;

const now = () => performance.now();

export class Relay {
    #settings;
    #log;
    #metrics;
    #send;
    #deadLetters;

    #batch = new Batch();
    #inFlight = 0;
    #sendUntil = 0; // no request starts later: it must end while the lease lasts
    #leaseEnds = 0;
    #takenOver = 0; // a lease of the relay before us has ended by then
    #graceUntil = Infinity; // no request starts later: it must end within the grace time
    #timer;
    #stop = new AbortController();

    #bell = new Bell();
    #database;
    #subscribed = false;
    #leading; // undefined until it was asked
    #lag; // while it is asked for
    #lagUnknown = false; // said so already

    constructor({ settings, log, metrics, send, deadLetters }) {
        this.#settings = settings;
        this.#log = log;
        this.#metrics = metrics;
        this.#send = send;
        this.#deadLetters = deadLetters;
    }

    // Until stop(), or an error that does not pass.
    async run() {
        for (let failures = 0; ; ) {
            const database = new Database(this.#settings, () => this.#bell.ring());
            try {
                await this.#open(database);
                failures = 0;
                await this.#serve(database);
                return;
            } catch (error) {
                if (isPermanent(error)) throw error;
                if (this.#isFinished) return;
                failures += 1;
                this.#log.warn('PostgreSQL failed: trying again', { failures, ...problem(error) });
            } finally {
                this.#database = undefined;
                await database.close();
            }
            await this.#pause(backoff(failures, reconnect.base, reconnect.max));
        }
    }

    // Reads no more; what was read is sent as far as the grace time allows, and acknowledged.
    stop() {
        if (this.#stopping) return;
        this.#graceUntil = now() + this.#settings.grace - this.#settings.timeout;
        this.#log.info('stopping', { in_flight: this.#inFlight, waiting: this.#batch.count('waiting') });
        this.#stop.abort();
        this.#startRequests();
    }

    get state() {
        if (!this.#database) return 'disconnected';
        return this.#leading ? 'active' : 'standby';
    }

    get inFlight() {
        return this.#inFlight;
    }

    // Undefined where PostgreSQL cannot be asked. It counts all that is pending: once at a time is enough.
    async lag() {
        this.#lag ??= this.#database
            ?.lag()
            .catch((error) => {
                if (!this.#lagUnknown) this.#log.warn('the lag is not known', problem(error));
                this.#lagUnknown = true;
            })
            .finally(() => {
                this.#lag = undefined;
            });
        return this.#lag;
    }

    get #stopping() {
        return this.#stop.signal.aborted;
    }

    // A stop ends it, and makes the next ones short.
    async #pause(milliseconds) {
        if (this.#stopping) await sleep(reconnect.base);
        else await sleep(milliseconds, undefined, { signal: this.#stop.signal }).catch(() => {});
    }

    // ----------
    // The database side
    // ----------

    async #open(database) {
        await database.connect();
        if (!this.#subscribed) await database.subscribe(this.#settings);
        this.#subscribed = true;
        this.#leading = undefined;
        this.#database = database;
        this.#log.info('connected to PostgreSQL', { consumer: this.#settings.consumer });
    }

    async #serve(database) {
        for (;;) {
            database.check();
            const id = this.#batch.lastDone;
            if (id) {
                await database.acknowledge(id);
                this.#batch.acknowledged(id);
                continue;
            }
            if (this.#isFinished) return;
            if (this.#mayRead && (await this.#read(database))) continue;
            await this.#bell.wait(this.#untilNextRead);
        }
    }

    // A batch ends its lease when all of it is acknowledged. Where an event is still to be tried again the lease
    // runs out, and the events come again, with new ones behind them.
    get #mayRead() {
        return !this.#stopping && this.#inFlight === 0 && (this.#batch.isEmpty || now() > this.#leaseEnds);
    }

    get #untilNextRead() {
        const moment = now();
        if (!this.#batch.isEmpty && moment <= this.#leaseEnds) return this.#leaseEnds - moment + 10;
        return moment < this.#takenOver ? Math.min(takeoverPoll, this.#settings.poll) : this.#settings.poll;
    }

    async #leads(database) {
        if (this.#leading) return true;
        const leads = await database.lead();
        if (leads) this.#takenOver = now() + this.#settings.lease + takeoverPoll;
        if (leads !== this.#leading) this.#log.info(leads ? 'active' : 'standing by: another relay is active');
        this.#leading = leads;
        return leads;
    }

    async #read(database) {
        if (!(await this.#leads(database))) return false;
        const asked = now();
        const rows = await database.readEvents(this.#settings.batch + this.#batch.count('done'), this.#settings.lease);
        if (rows.length === 0) return false;
        this.#sendUntil = asked + this.#settings.lease - this.#settings.timeout;
        this.#leaseEnds = now() + this.#settings.lease;
        this.#batch = new Batch(rows, this.#batch);
        this.#log.debug('read', { events: rows.length });
        this.#startRequests();
        return true;
    }

    // ----------
    // The sending side
    // ----------

    get #mayStartUntil() {
        return Math.min(this.#sendUntil, this.#graceUntil);
    }

    // Whether we stop, no request runs or will run, and there is nothing left to acknowledge.
    get #isFinished() {
        const turns = [...this.#batch.turns(this.#stopping)];
        const next = Math.max(now(), Math.min(...turns.map((event) => event.notBefore)));
        return this.#stopping && this.#inFlight === 0 && next > this.#mayStartUntil && !this.#batch.lastDone;
    }

    #startRequests() {
        const moment = now();
        let next = Infinity;

        this.#bell.ring();
        clearTimeout(this.#timer);
        for (const event of this.#batch.turns(this.#stopping)) {
            if (moment > this.#mayStartUntil || this.#inFlight >= this.#settings.concurrency) return;
            if (event.notBefore <= moment) this.#deliver(event);
            else next = Math.min(next, event.notBefore);
        }
        if (next <= this.#mayStartUntil) this.#timer = setTimeout(() => this.#startRequests(), next - moment);
    }

    async #deliver(event) {
        event.state = 'in flight';
        this.#inFlight += 1;
        if (event.tries > 0) this.#metrics.retries += 1;
        const outcome = await this.#send(event);
        if (outcome.delivered) this.#delivered(event, outcome);
        else await this.#failed(event, outcome);
        this.#inFlight -= 1;
        this.#startRequests();
    }

    #delivered(event, { status }) {
        event.state = 'done';
        this.#metrics.delivered += 1;
        this.#log.info('delivered', { ...of(event), status });
    }

    async #failed(event, { error, hopeless, retryAfter }) {
        const { tries, backoff: base, backoffMax } = this.#settings;

        event.tries += 1;
        this.#metrics.failed += 1;
        if (hopeless || event.tries >= tries) {
            await this.#giveUp(event, error);
            return;
        }
        const wait = Math.min(backoffMax, Math.max(retryAfter, backoff(event.tries, base, backoffMax)));
        event.notBefore = now() + wait;
        event.state = 'waiting';
        this.#log.warn('not delivered', { ...of(event), error, next_try_ms: Math.round(wait) });
    }

    async #giveUp(event, error) {
        try {
            await this.#deadLetters.write(event, error);
            event.state = 'done';
            this.#metrics.deadLettered += 1;
            this.#log.error('dead letter', { ...of(event), error });
        } catch (failure) {
            event.notBefore = now() + this.#settings.backoffMax;
            event.state = 'waiting';
            this.#log.error('the dead letter could not be written', { ...of(event), error: failure.message });
        }
    }
}

function of({ id, dealId, kind, tries }) {
    return { event_id: id, deal_id: dealId, kind, failed_tries: tries };
}
