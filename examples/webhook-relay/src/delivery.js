// One try to deliver one event.
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { signedHeaders } from './signature.js';

// What the receiver says of this very event: the same bytes will not do better next time. All other answers, 401
// and 404 included, speak of the receiver, which somebody can mend.
const hopeless = new Set([400, 410, 413, 415, 422]);

const excerptLength = 300;

export function createSender({ url, secrets, timeout }) {
    const { request, Agent } = url.protocol === 'https:' ? https : http;
    const agent = new Agent({ keepAlive: true });

    async function post({ id, body }) {
        const call = request(url, {
            method: 'POST',
            agent,
            signal: AbortSignal.timeout(timeout),
            headers: {
                'content-type': 'application/json',
                'content-length': Buffer.byteLength(body),
                'user-agent': 'crm-deals-webhook-relay',
                ...signedHeaders(secrets, id, body),
            },
        });
        call.on('error', () => {}); // one that comes after the answer
        call.end(body);
        const [response] = await once(call, 'response');
        return { response, excerpt: await excerptOf(response) };
    }

    // Never throws: { delivered, status } or { delivered, status?, error, hopeless, retryAfter }.
    return async function send(event) {
        try {
            const { response, excerpt } = await post(event);
            const status = response.statusCode;
            if (status >= 200 && status < 300) return { delivered: true, status };
            return {
                delivered: false,
                status,
                error: excerpt ? `${status}: ${excerpt}` : `${status}`,
                hopeless: hopeless.has(status),
                retryAfter: milliseconds(response.headers['retry-after']),
            };
        } catch (error) {
            const reason = error.name === 'AbortError' ? `no answer within ${timeout} ms` : error.code || error.message;
            return { delivered: false, error: reason, hopeless: false, retryAfter: 0 };
        }
    };
}

// Reads all of the body, so that the connection can be used again, and keeps its beginning.
async function excerptOf(response) {
    let excerpt = '';
    try {
        for await (const chunk of response.setEncoding('utf8')) {
            if (excerpt.length < excerptLength) excerpt += chunk;
        }
    } catch {
        // The status has arrived, and that is what counts.
    }
    return excerpt.slice(0, excerptLength).trim();
}

// Retry-After is a number of seconds or a date.
function milliseconds(retryAfter) {
    const wait = /^\d+$/.test(retryAfter) ? retryAfter * 1000 : Date.parse(retryAfter) - Date.now();
    return Math.max(wait, 0) || 0;
}
