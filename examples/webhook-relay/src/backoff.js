// Exponential backoff with full jitter: any time up to the ceiling, which doubles with each failure. All that
// failed at one moment so come back spread out.
export function backoff(failures, base, max) {
    return Math.random() * Math.min(max, base * 2 ** (failures - 1));
}
