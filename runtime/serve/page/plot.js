// A small plot of the last minutes: a line over its own range, from zero.
export function plot(canvas, values) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth * scale, height = canvas.clientHeight * scale;
  if (!width) return;
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d"), most = Math.max(1e-9, ...values) * 1.15, step = width / 89;
  const ink = getComputedStyle(canvas).getPropertyValue("--plot");
  context.beginPath();
  values.forEach((value, index) => {
    const x = width - (values.length - 1 - index) * step, y = height - value / most * (height - 2);
    if (index) context.lineTo(x, y); else context.moveTo(x, y);
  });
  context.strokeStyle = ink; context.lineWidth = 1.6 * scale; context.lineJoin = "round"; context.stroke();
  context.lineTo(width, height); context.lineTo(width - (values.length - 1) * step, height); context.closePath();
  context.globalAlpha = 0.14; context.fillStyle = ink; context.fill(); context.globalAlpha = 1;
}
