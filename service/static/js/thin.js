/** Fewer points for the same picture: what `charts` leaves out of long lines, the extremes of each stretch stay. */

/**
 * A trace with at most about `2 * buckets` points; shorter ones, and those that are not plain lines, come back as they
 * are.
 *
 * @param {object} trace Plotly's
 * @param {number} buckets stretches of the line; of each, the lowest and the highest point stay, and every gap (null)
 */
export function thinned(trace, buckets) {
  const { x, y } = trace;
  const plain = trace.type === "scatter" && trace.mode === "lines" && Array.isArray(x) && Array.isArray(y);
  const carries = Array.isArray(trace.text) || Array.isArray(trace.customdata);
  if (!plain || carries || y.length <= 2 * buckets) return trace;
  const keep = new Set([0, y.length - 1]);
  const length = y.length / buckets;
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const end = Math.min(y.length, Math.floor((bucket + 1) * length));
    let low = -1;
    let high = -1;
    for (let index = Math.floor(bucket * length); index < end; index += 1) {
      const value = y[index];
      if (value === null || Number.isNaN(value)) keep.add(index);
      else {
        if (low < 0 || value < y[low]) low = index;
        if (high < 0 || value > y[high]) high = index;
      }
    }
    if (low >= 0) keep.add(low).add(high);
  }
  const indices = [...keep].sort((a, b) => a - b);
  return { ...trace, x: indices.map((index) => x[index]), y: indices.map((index) => y[index]) };
}
