// The events that were given up: one JSON object a line. Opened anew for each, so that the file can be moved away
// at any time.
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

export class DeadLetters {
    constructor(path) {
        this.path = path;
    }

    // Makes the file, so that a path that cannot be written is known at the start.
    async prepare() {
        await mkdir(dirname(this.path), { recursive: true });
        await this.#append('');
    }

    // On disk when it returns.
    async write({ id, dealId, kind, body, tries }, error) {
        const letter = { at: new Date().toISOString(), event_id: id, deal_id: dealId, kind, tries, error, body };
        await this.#append(`${JSON.stringify(letter)}\n`);
    }

    async #append(text) {
        const file = await open(this.path, 'a');
        try {
            await file.appendFile(text);
            await file.sync();
        } finally {
            await file.close();
        }
        const folder = await open(dirname(this.path)); // the file may be new
        try {
            await folder.sync();
        } finally {
            await folder.close();
        }
    }
}
