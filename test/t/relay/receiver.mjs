// receiver.mjs PORT FOLDER: an HTTP server for webhooks that misbehaves as it is told.
//
//   FOLDER/verify.mjs       exports verify(headers, body, secret, now)
//   FOLDER/secret           its secret
//   FOLDER/behaviour.json   {"after": MILLISECONDS, "together": N, "open": N, "plans": [PLAN, ...],
//                           "deals": {"ID": PLAN}}, read at each request. An answer comes after so many milliseconds,
//                           or at once when N requests wait together. If "open" is there, only N requests get an
//                           answer, the others wait until the file changes. A plan is a list of what to do at an
//                           event's first, second, ... arrival, the last for all others: accept, error, later, reset,
//                           stall, refuse; events without a plan of their deal have plan event_id modulo the number
//                           of plans
//   FOLDER/seen.jsonl       written: what arrived and what was accepted, in order
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, resolve } from 'node:path';

const [port, folder] = process.argv.slice(2);
const file = (name) => resolve(join(folder, name));
const { verify } = await import(file('verify.mjs'));
const secret = readFileSync(file('secret'), 'utf8').trim();
const arrivals = new Map();
let told;
let answered; // since the behaviour changed
let waiting = [];

function behaviour() {
    const text = readFileSync(file('behaviour.json'), 'utf8');
    if (text !== told) answered = 0;
    told = text;
    return JSON.parse(text);
}

function record(what, { event_id, deal_id }, more) {
    appendFileSync(file('seen.jsonl'), `${JSON.stringify({ what, event_id, deal_id, ...more })}\n`);
}

function actionFor(event, { plans = [['accept']], deals = {} }) {
    const plan = deals[event.deal_id] ?? plans[event.event_id % plans.length];
    return plan[Math.min(arrivals.get(event.event_id), plan.length) - 1];
}

const answers = {
    accept(response, event) {
        record('accepted', event);
        response.writeHead(204).end();
    },
    error: (response) => response.writeHead(500).end('try later'),
    later: (response) => response.writeHead(503, { 'retry-after': '60' }).end(),
    refuse: (response) => response.writeHead(422).end('no such customer'),
    reset: (response) => response.socket.resetAndDestroy(),
    stall() {},
};

createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += chunk;
    const event = JSON.parse(body);
    const now = behaviour();
    const verifies = (changes, text = body, seconds = 0) => {
        return verify({ ...request.headers, ...changes }, text, secret, Date.now() / 1000 + seconds);
    };

    arrivals.set(event.event_id, (arrivals.get(event.event_id) ?? 0) + 1);
    record('arrived', event, {
        body,
        id: request.headers['webhook-id'],
        verified: verifies(),
        forged: verifies({}, `${body} `) || verifies({ 'webhook-id': '0' }) || verifies({ 'webhook-signature': '' }),
        replayed: verifies({}, body, 400) || verifies({}, body, -400) || verifies({ 'webhook-timestamp': '' }),
    });

    function answer() {
        clearTimeout(timer);
        waiting = waiting.filter((other) => other !== answer);
        if (answered >= (behaviour().open ?? Infinity)) {
            setTimeout(answer, 20);
            return;
        }
        answered += 1;
        answers[actionFor(event, now)](response, event);
    }
    const timer = setTimeout(answer, now.after ?? 0);
    waiting.push(answer);
    if (waiting.length >= now.together) waiting.forEach((each) => each());
}).listen(port, '127.0.0.1', () => console.log('listening'));
