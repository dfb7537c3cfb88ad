// A mask painted over the picture: painted parts are stylized, the rest stays as the camera sees it.
export class Brush {
  constructor(canvas, picture, { send }) {
    Object.assign(this, { canvas, picture, send, size: 12, erasing: false, from: null });
    canvas.onpointerdown = event => { canvas.setPointerCapture(event.pointerId); this.from = this.at(event); this.line(this.from); };
    canvas.onpointermove = event => { if (this.from) this.line(this.at(event)); };
    canvas.onpointerup = canvas.onpointercancel = () => { if (this.from) { this.from = null; this.hand(); } };
  }

  start() {
    const { width, height } = this.picture;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    this.canvas.hidden = false;
  }

  stop() { this.canvas.hidden = true; }

  clear() { this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height); this.send(null); }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.canvas.width / box.width, (event.clientY - box.top) * this.canvas.height / box.height];
  }

  line(to) {
    const context = this.canvas.getContext("2d");
    Object.assign(context, { lineWidth: this.size * this.canvas.height / 100, lineCap: "round", strokeStyle: "#ff7a30", globalCompositeOperation: this.erasing ? "destination-out" : "source-over" });
    context.beginPath(); context.moveTo(...this.from); context.lineTo(to[0] + 0.01, to[1]); context.stroke();
    this.from = to;
  }

  hand() {
    const mask = document.createElement("canvas");
    Object.assign(mask, { width: this.canvas.width, height: this.canvas.height });
    const context = mask.getContext("2d");
    context.drawImage(this.canvas, 0, 0);
    context.globalCompositeOperation = "source-in"; context.fillStyle = "#fff"; context.fillRect(0, 0, mask.width, mask.height);
    context.globalCompositeOperation = "destination-over"; context.fillStyle = "#000"; context.fillRect(0, 0, mask.width, mask.height);
    mask.toBlob(blob => this.send(blob), "image/png");
  }
}
