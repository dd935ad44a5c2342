// Proof that the model file is enough: JavaScript, onnxruntime-node and that file give the labels that adele gives.
//
//     node conform.mjs MODEL.onnx FOLDER
//
// FOLDER holds volume.json ({"shape": [C, Z, Y, X], "spacing": [z, y, x]}, canonical RAS+ grid, mm) and volume.raw (float32,
// little-endian). Writes labels.raw: the contract's label ids, uint16 little-endian, [Z, Y, X]. Nothing is shared with the Python
// code; what is done here is what docs/model.md says.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-node";

const METADATA_PROPS = 14; // of ModelProto; each is a StringStringEntryProto with key 1 and value 2

/** The fields of one protocol-buffer message: number -> list of byte ranges (numbers are skipped). */
function readFields(bytes) {
  const fields = new Map();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [number, wire] = [Math.floor(key / 8), key % 8];
    if (wire === 0) varint();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = varint();
      if (!fields.has(number)) fields.set(number, []);
      fields.get(number).push(bytes.subarray(at, at + length));
      at += length;
    } else throw new Error("not a protocol buffer");
  }
  return fields;
}

/** The contract in the model's metadata. */
function readContract(bytes) {
  const text = (part) => new TextDecoder().decode(part);
  for (const entry of readFields(bytes).get(METADATA_PROPS) ?? []) {
    const pair = readFields(entry);
    if (text(pair.get(1)[0]) === "adele") return JSON.parse(text(pair.get(2)[0]));
  }
  throw new Error("the model has no contract");
}

/** Quantile in percent of sorted values, linear between neighbours. */
function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const low = Math.floor(place);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
}

/** The channel's voxels, scaled as its policy says. */
function normalise(values, policy) {
  let [low, high] = policy.clip ?? [-Infinity, Infinity];
  let { mean, std } = policy;
  if (policy.kind === "volume") {
    const sorted = Float32Array.from(values).sort();
    [low, high] = policy.percentiles.map((percent) => Math.fround(percentile(sorted, percent)));
    let sum = 0;
    for (const value of values) sum += Math.min(Math.max(value, low), high);
    mean = sum / values.length;
    let squares = 0;
    for (const value of values) squares += (Math.min(Math.max(value, low), high) - mean) ** 2;
    std = Math.sqrt(squares / values.length) || 1;
  }
  return Float32Array.from(values, (value) => (Math.min(Math.max(value, low), high) - mean) / std);
}

/** Rows and columns at which the network sees a slice. */
function planSize(height, width, spacing, grid) {
  let [rows, columns] = [height, width];
  if (grid.spacing) [rows, columns] = [(rows * spacing[0]) / grid.spacing[0], (columns * spacing[1]) / grid.spacing[1]];
  if (grid.max_size && Math.max(rows, columns) > grid.max_size) {
    const factor = grid.max_size / Math.max(rows, columns);
    [rows, columns] = [rows * factor, columns * factor];
  }
  return [rows, columns].map((size) => Math.max(1, Math.floor(size + 0.5)));
}

/** For each of `target` samples: the source samples it is made of and their weights (triangle, widened when shrinking). */
function planTaps(source, target) {
  const step = source / target;
  const support = Math.max(1, step);
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * step;
    const taps = [];
    for (let tap = Math.floor(centre - support); tap <= Math.ceil(centre + support); tap++) {
      const weight = 1 - Math.abs(tap + 0.5 - centre) / support;
      if (weight > 0 && tap >= 0 && tap < source) taps.push([tap, weight]);
    }
    const total = taps.reduce((sum, [, weight]) => sum + weight, 0);
    return taps.map(([tap, weight]) => [tap, weight / total]);
  });
}

/** A plane {data, height, width} at another size. */
function resize({ data, height, width }, [rows, columns]) {
  if (height === rows && width === columns) return { data, height, width };
  const [down, across] = [planTaps(height, rows), planTaps(width, columns)];
  const resized = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (const [y, weight] of down[row]) for (const [x, other] of across[column]) sum += weight * other * data[y * width + x];
      resized[row * columns + column] = sum;
    }
  return { data: resized, height: rows, width: columns };
}

/** A plane padded right and bottom by repetition to at least the canvas. */
function pad({ data, height, width }, canvas) {
  const [rows, columns] = canvas ? [Math.max(height, canvas[0]), Math.max(width, canvas[1])] : [height, width];
  const padded = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      padded[row * columns + column] = data[Math.min(row, height - 1) * width + Math.min(column, width - 1)];
  return { data: padded, height: rows, width: columns };
}

/** Class indices of one slice given as one plane a channel. */
async function segment(session, contract, planes, spacing) {
  const [{ height, width }] = planes;
  const size = planSize(height, width, spacing, contract.grid);
  const padded = planes.map((plane) => pad(resize(plane, size), contract.grid.canvas));
  const { height: rows, width: columns } = padded[0];
  const image = new Float32Array(planes.length * rows * columns);
  padded.forEach((plane, channel) => image.set(plane.data, channel * rows * columns));
  const feeds = { image: new ort.Tensor("float32", image, [1, planes.length, rows, columns]) };
  const whole = size[0] === height && size[1] === width;
  const answer = await session.run(feeds, [whole ? "label" : "probabilities"]);
  const crop = (data, offset) => {
    const part = new Float32Array(size[0] * size[1]);
    for (let row = 0; row < size[0]; row++)
      for (let column = 0; column < size[1]; column++)
        part[row * size[1] + column] = data[offset + row * columns + column];
    return { data: part, height: size[0], width: size[1] };
  };
  if (whole) return crop(answer.label.data, 0).data;
  const classes = contract.classes.map((_, index) =>
    resize(crop(answer.probabilities.data, index * rows * columns), [height, width]),
  );
  return Float32Array.from({ length: height * width }, (_, pixel) => {
    let best = 0;
    for (let index = 1; index < classes.length; index++)
      if (classes[index].data[pixel] > classes[best].data[pixel]) best = index;
    return best;
  });
}

async function main([model, folder]) {
  const bytes = readFileSync(model);
  const contract = readContract(bytes);
  if (contract.format !== 1 || (contract.dims ?? 2) !== 2) throw new Error("a contract this program does not know");
  const session = await ort.InferenceSession.create(bytes);
  const { shape, spacing } = JSON.parse(readFileSync(join(folder, "volume.json"), "utf8"));
  const raw = readFileSync(join(folder, "volume.raw"));
  const voxels = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
  const [channels, ...sizes] = shape;
  const count = sizes[0] * sizes[1] * sizes[2];
  const scaled = contract.channels.map((policy, c) => normalise(voxels.subarray(c * count, (c + 1) * count), policy));
  if (scaled.length !== channels) throw new Error(`the model takes ${scaled.length} channels`);
  const axis = "zyx".indexOf(contract.grid.axis ?? "z");
  const [down, across] = [0, 1, 2].filter((other) => other !== axis);
  const strides = [sizes[1] * sizes[2], sizes[2], 1];
  const labels = new Uint16Array(count);
  for (let slice = 0; slice < sizes[axis]; slice++) {
    const place = (row, column) => slice * strides[axis] + row * strides[down] + column * strides[across];
    const planes = scaled.map((volume) => {
      const data = new Float32Array(sizes[down] * sizes[across]);
      for (let row = 0; row < sizes[down]; row++)
        for (let column = 0; column < sizes[across]; column++) data[row * sizes[across] + column] = volume[place(row, column)];
      return { data, height: sizes[down], width: sizes[across] };
    });
    const found = await segment(session, contract, planes, [spacing[down], spacing[across]]);
    for (let row = 0; row < sizes[down]; row++)
      for (let column = 0; column < sizes[across]; column++)
        labels[place(row, column)] = contract.classes[found[row * sizes[across] + column]].id;
  }
  writeFileSync(join(folder, "labels.raw"), new Uint8Array(labels.buffer));
}

await main(process.argv.slice(2));
