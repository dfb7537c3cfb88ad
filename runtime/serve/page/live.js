// Live pictures over one WebSocket: the next is sent only when the last was drawn, so none is old.
const HEAD = 16;
const TILE_EVERY_MS = 700;

export class Live {
  constructor(canvas, { compare, shown }) {
    Object.assign(this, { canvas, compare, shown, focus: "", view: "after", names: [], tiles: new Map(), last: null, drawn: 0 });
    this.connect();
  }

  connect() {
    this.socket = new WebSocket(new URL("/api/v1/live", location.href.replace(/^http/, "ws")));
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.ask();
    this.socket.onmessage = ({ data }) => this.take(data);
    this.socket.onclose = () => setTimeout(() => this.connect(), 1500);
  }

  watch(focus, view, names) {
    const same = focus === this.focus && view === this.view && names.join() === this.names.join();
    Object.assign(this, { focus, view, names });
    if (!same) this.ask();
  }

  addTile(name, canvas) { this.tiles.set(name, canvas); }

  size(width, height) {
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
    // The stage is as wide as the picture may be high, so that what lies over it fits.
    this.canvas.parentElement.style.maxWidth = `calc(76vh * ${width / height})`;
  }

  ask() {
    if (this.socket.readyState !== WebSocket.OPEN || !this.focus) return;
    const others = this.names.length > 1 ? this.names.filter(name => name !== this.focus) : [];
    this.socket.send(JSON.stringify({ watch: [this.focus], view: this.view, tiles: others }));
  }

  async take(data) {
    const view = new DataView(data), age = view.getFloat64(4, true), length = view.getUint32(12, true);
    const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEAD, length)));
    const arrived = performance.now();
    try {
      const picture = await createImageBitmap(new Blob([new Uint8Array(data, HEAD + length)], { type: "image/jpeg" }));
      if (facts.stream === this.focus) this.show(picture, age + performance.now() - arrived, view.getUint32(0, true), facts);
      const tile = this.tiles.get(facts.stream);
      if (tile) this.drawTile(tile, picture, facts);
    } finally {
      const pause = facts.stream === this.focus ? 0 : TILE_EVERY_MS;
      setTimeout(() => this.socket.readyState === WebSocket.OPEN && this.socket.send(JSON.stringify({ next: facts.stream })), pause);
    }
  }

  show(picture, age, number, facts) {
    this.last?.picture.close();
    this.last = { picture, both: facts.view === "both" };
    this.drawn += 1;
    this.redraw();
    this.shown(age, number, facts.stream);
  }

  redraw() {
    if (!this.last) return;
    const { picture, both } = this.last, width = both ? picture.width / 2 : picture.width;
    this.size(width, picture.height);
    const context = this.canvas.getContext("2d"), share = this.compare();
    if (!both) { context.drawImage(picture, 0, 0); return; }
    const cut = Math.round(width * (share ?? 0));
    context.drawImage(picture, width, 0, width, picture.height, 0, 0, width, picture.height);
    if (cut > 0) context.drawImage(picture, 0, 0, cut, picture.height, 0, 0, cut, picture.height);
  }

  drawTile(canvas, picture, facts) {
    const width = facts.view === "both" ? picture.width / 2 : picture.width, left = picture.width - width;
    Object.assign(canvas, { width: 304, height: 171 });
    canvas.getContext("2d").drawImage(picture, left, 0, width, picture.height, 0, 0, 304, 171);
  }
}
