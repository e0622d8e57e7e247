// One JSON object a line, on stdout.

const levels = ['debug', 'info', 'warn', 'error'];

export function createLog(lowest = 'info') {
    const write = (level, message, fields) => {
        process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
    };
    const log = {};
    for (const level of levels) {
        const isWritten = levels.indexOf(level) >= levels.indexOf(lowest);
        log[level] = isWritten ? (message, fields) => write(level, message, fields) : () => {};
    }
    return log;
}

// What an error of PostgreSQL, or any other, has to say.
export function problem({ message, code, detail, hint }) {
    return { error: message, code, detail, hint };
}
