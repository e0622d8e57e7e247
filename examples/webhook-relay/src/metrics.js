// Counters since the start, and their text for Prometheus.

export class Metrics {
    delivered = 0;
    failed = 0;
    retries = 0;
    deadLettered = 0;

    // lag is undefined where PostgreSQL cannot be asked: its gauges are left out.
    text({ inFlight, state, lag }) {
        const metrics = [
            ['delivered_total', 'counter', 'Events that the receiver accepted.', this.delivered],
            ['failed_attempts_total', 'counter', 'Requests that did not deliver their event.', this.failed],
            ['retries_total', 'counter', 'Requests for an event that had failed before.', this.retries],
            ['dead_lettered_total', 'counter', 'Events that were given up.', this.deadLettered],
            ['in_flight', 'gauge', 'Requests that wait for their answer.', inFlight],
            ['connected', 'gauge', '1 while connected to PostgreSQL.', state === 'disconnected' ? 0 : 1],
            ['active', 'gauge', '1 while this relay reads, 0 while it stands by.', state === 'active' ? 1 : 0],
            ['pending_events', 'gauge', 'Events that are not acknowledged.', lag?.pending],
            ['pending_age_seconds', 'gauge', 'Age of the oldest event that is not acknowledged.', lag?.age],
        ];
        return metrics
            .filter(([, , , value]) => value !== undefined)
            .map(([name, type, help, value]) => {
                const metric = `crm_deals_relay_${name}`;
                return `# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n${metric} ${value}\n`;
            })
            .join('');
    }
}
