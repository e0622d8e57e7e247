// Something that can be waited for. A ring while nobody waits is not forgotten.
export class Bell {
    #rung = false;
    #wake = () => {};

    ring() {
        this.#rung = true;
        this.#wake();
    }

    async wait(milliseconds) {
        if (!this.#rung) {
            let timer;
            await new Promise((resolve) => {
                this.#wake = resolve;
                timer = setTimeout(resolve, milliseconds);
            });
            clearTimeout(timer);
        }
        this.#rung = false;
    }
}
