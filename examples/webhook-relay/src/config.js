// Settings from environment variables. Every mistake is reported at once, before anything starts.

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const parsers = {
    text: (value) => value,

    url(value) {
        const url = new URL(value);
        if (!['http:', 'https:'].includes(url.protocol)) throw new Error('must begin with http:// or https://');
        if (url.username || url.password) throw new Error('must not hold a user name or a password');
        return url;
    },

    // One secret, or two while receivers change from one to the other: "whsec_" and at least 24 bytes in base64.
    secrets(value) {
        return value.split(/\s+/).map((secret) => {
            const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
            if (!/^whsec_[A-Za-z0-9+/]+=*$/.test(secret) || key.length < 24) {
                throw new Error('must be whsec_ and at least 24 bytes in base64');
            }
            return key;
        });
    },

    duration(value) {
        const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) ?? [];
        if (!(number > 0)) throw new Error('must be a number with a unit, such as 500ms, 10s, 5m or 1h');
        const milliseconds = number * units[unit];
        if (milliseconds > 24 * units.h) throw new Error('must be at most 24h');
        return milliseconds;
    },

    count(value) {
        if (!/^[1-9]\d{0,5}$/.test(value)) throw new Error('must be a whole number from 1 to 999999');
        return Number(value);
    },

    port(value) {
        if (!/^\d{1,5}$/.test(value) || value > 65535) throw new Error('must be a port, or 0 for any that is free');
        return Number(value);
    },

    flag(value) {
        if (!['on', 'off'].includes(value)) throw new Error('must be on or off');
        return value === 'on';
    },

    level(value) {
        if (!['debug', 'info', 'warn', 'error'].includes(value)) throw new Error('must be debug, info, warn or error');
        return value;
    },

    list: (value) => value.split(',').map((item) => item.trim()).filter(Boolean),
};

// name: [setting, parser, default]; no default: required. The README explains them.
const variables = {
    RELAY_URL: ['url', parsers.url],
    RELAY_SECRET: ['secrets', parsers.secrets],
    RELAY_CONSUMER: ['consumer', parsers.text, 'webhook-relay'],
    RELAY_KINDS: ['kinds', parsers.list, ''],
    RELAY_FROM_START: ['fromStart', parsers.flag, 'off'],
    RELAY_INCLUDE_IMPORTS: ['includeImports', parsers.flag, 'off'],
    RELAY_CONCURRENCY: ['concurrency', parsers.count, '8'],
    RELAY_BATCH: ['batch', parsers.count, '200'],
    RELAY_TIMEOUT: ['timeout', parsers.duration, '10s'],
    RELAY_TRIES: ['tries', parsers.count, '16'],
    RELAY_BACKOFF: ['backoff', parsers.duration, '1s'],
    RELAY_BACKOFF_MAX: ['backoffMax', parsers.duration, '5m'],
    RELAY_DEAD_LETTERS: ['deadLetters', parsers.text, 'dead-letters.jsonl'],
    RELAY_LEASE: ['lease', parsers.duration, '30s'],
    RELAY_POLL: ['poll', parsers.duration, '15s'],
    RELAY_GRACE: ['grace', parsers.duration, '25s'],
    RELAY_HTTP_HOST: ['httpHost', parsers.text, '127.0.0.1'],
    RELAY_HTTP_PORT: ['httpPort', parsers.port, '9464'],
    RELAY_LOG_LEVEL: ['logLevel', parsers.level, 'info'],
};

// Returns the settings; throws one error that lists what is wrong with them.
export function readSettings(environment) {
    const problems = [];
    const settings = { connectionString: environment.DATABASE_URL };

    for (const [name, [setting, parse, standard]] of Object.entries(variables)) {
        const value = environment[name]?.trim() || standard;
        if (value === undefined) {
            problems.push(`${name} is not set`);
            continue;
        }
        try {
            settings[setting] = parse(value);
        } catch (error) {
            problems.push(`${name} ${error.code === 'ERR_INVALID_URL' ? 'is not a URL' : error.message}`);
        }
    }
    for (const name of Object.keys(environment)) {
        if (name.startsWith('RELAY_') && !(name in variables)) problems.push(`${name} is not a setting`);
    }
    if (settings.lease < 2 * settings.timeout) problems.push('RELAY_LEASE must be at least twice RELAY_TIMEOUT');
    if (settings.grace < settings.timeout) problems.push('RELAY_GRACE must be at least RELAY_TIMEOUT');
    if (settings.backoffMax < settings.backoff) problems.push('RELAY_BACKOFF_MAX must be at least RELAY_BACKOFF');
    if (problems.length > 0) throw new Error(`wrong settings: ${problems.join('; ')}`);
    return settings;
}
