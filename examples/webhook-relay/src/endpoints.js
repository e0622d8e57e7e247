// GET /metrics and GET /healthz.
import { once } from 'node:events';
import http from 'node:http';

export async function serveEndpoints({ httpHost, httpPort }, metrics, relay) {
    const server = http.createServer(async (request, response) => {
        const { state, inFlight } = relay;
        const answer = (status, type, text) => response.writeHead(status, { 'content-type': type }).end(text);

        if (request.url === '/healthz') {
            answer(state === 'disconnected' ? 503 : 200, 'application/json', `${JSON.stringify({ state })}\n`);
        } else if (request.url === '/metrics') {
            answer(200, 'text/plain; version=0.0.4', metrics.text({ state, inFlight, lag: await relay.lag() }));
        } else {
            answer(404, 'text/plain', 'GET /metrics or /healthz\n');
        }
    });
    server.listen(httpPort, httpHost);
    await once(server, 'listening');
    return server;
}
