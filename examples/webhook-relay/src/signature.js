import { createHmac } from 'node:crypto';

// The headers of https://www.standardwebhooks.com: each key signs the event's id, the moment and the body.
export function signedHeaders(keys, id, body, seconds = Math.floor(Date.now() / 1000)) {
    const signatures = keys.map((key) => {
        return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
    });
    return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': signatures.join(' ') };
}
