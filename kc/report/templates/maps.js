// Data scripts, and feature maps drawn on canvases.
"use strict";

const maps = (() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const known = new Map();
  const waiting = new Map();

  /** Load a data script once; a page opened from disk cannot fetch. */
  function need(name) {
    if (!known.has(name)) {
      known.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        waiting.set(name, resolve);
        script.onerror = () => {
          known.delete(name);
          reject(new Error(`${name}.js is missing from the report's folder`));
        };
        script.src = url(`${name}.js`);
        document.head.append(script);
      }));
    }
    return known.get(name);
  }

  const url = (file) => folder + encodeURIComponent(file);

  function take(name, value) {
    waiting.get(name)?.(value);
    waiting.delete(name);
  }

  /** Bytes of whole filters: (filter, part, image, y, x), 128 is 0. */
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  /** One filter's parts in the feature's units, one array (image, y, x) for each part. */
  function parts(block, place, largest, size) {
    const start = place * largest.length * size;
    return largest.map((value, part) => {
      const begin = start + part * size;
      return Float32Array.from(
        block.subarray(begin, begin + size), (byte) => ((byte - 128) * value) / 127);
    });
  }

  /** Add arrays, each times its weight. */
  function blend(arrays, weights, begin, end) {
    const sum = new Float32Array(end - begin);
    arrays.forEach((values, index) => {
      const weight = weights[index];
      if (weight) for (let i = 0; i < sum.length; i++) sum[i] += weight * values[begin + i];
    });
    return sum;
  }

  /** Where each of `count` pixels lies among n values, ends held: bilinear, centres aligned. */
  function steps(n, count) {
    return Array.from({ length: count }, (_, pixel) => {
      const at = Math.max(0, ((pixel + 0.5) * n) / count - 0.5);
      const low = Math.min(Math.floor(at), n - 1);
      return [low, Math.min(low + 1, n - 1), Math.min(at - low, 1)];
    });
  }

  /** 256 colours (RGB in one list) as whole pixels. */
  function palette(colours) {
    const pixels = new Uint8ClampedArray(1024).fill(255);
    for (let i = 0; i < 256; i++) pixels.set(colours.slice(3 * i, 3 * i + 3), 4 * i);
    return new Uint32Array(pixels.buffer);
  }

  /** Enlarge a map to the canvas and colour it; +-limit are the ends of the colours. */
  function paint(canvas, values, [height, width], limit, colours) {
    const context = canvas.getContext("2d");
    const image = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(image.data.buffer);
    const across = steps(width, canvas.width);
    const scale = limit > 0 ? 127.5 / limit : 0;
    let pixel = 0;
    for (const [top, bottom, down] of steps(height, canvas.height)) {
      for (const [left, right, along] of across) {
        const upper = values[top * width + left] * (1 - along) + values[top * width + right] * along;
        const lower =
          values[bottom * width + left] * (1 - along) + values[bottom * width + right] * along;
        const level = Math.round((upper * (1 - down) + lower * down) * scale + 127.5);
        pixels[pixel++] = colours[Math.max(0, Math.min(255, level))];
      }
    }
    context.putImageData(image, 0, 0);
  }

  return { need, take, url, bytes, parts, blend, palette, paint };
})();

/** Called by every data script. */
function kcData(name, value) {
  maps.take(name, value);
}
