"use strict";
// How a slice lies on the stage, and the strip below it; without any state of the review.
const picture = {
  // Fit a picture of `size` pixels into `stage`, or its part `box` (top, left, height, width, 0..1 of the picture) where `near`.
  place(stage, film, labels, size, box, near) {
    const [wide, high] = [stage.clientWidth, stage.clientHeight];
    const fit = Math.min(wide / size.width, high / size.height), [w, h] = [fit * size.width, fit * size.height];
    const [top, left, height, width] = box;
    const times = near ? Math.max(1, Math.min(wide / (width * w), high / (height * h), 8)) : 1;
    const along = (all, own, from, part) => all / 2 - times * ((all - own) / 2 + own * (from + part / 2));
    const shift = `translate(${along(wide, w, left, width)}px, ${along(high, h, top, height)}px)`;
    film.style.transform = times > 1 ? `${shift} scale(${times})` : "";
    labels.style.imageRendering = fit * times < 1 ? "auto" : "pixelated"; // made smaller pixel by pixel, outlines have gaps
  },
  // A bar for each slice's count of changed voxels; the slice that is shown has another colour and a mark above it.
  drawStrip(canvas, counts, index) {
    const most = Math.max(...counts, 1);
    canvas.width = canvas.clientWidth || 600;
    const pen = canvas.getContext("2d"), width = canvas.width / counts.length;
    const style = getComputedStyle(document.documentElement);
    const [bar, mark] = ["--accent", "--warn"].map((name) => style.getPropertyValue(name));
    counts.forEach((count, at) => {
      const height = count ? Math.max(2, 18 * count / most) : 0;
      pen.fillStyle = at === index ? mark : bar;
      pen.fillRect(at * width, 18 - height, Math.max(1, width - 1), height);
    });
    pen.fillStyle = mark;
    pen.fillRect(index * width, 0, Math.max(2, width - 1), 3);
  },
};
