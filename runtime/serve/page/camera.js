// The viewer's own camera: frames go up as JPEG, at most two on their way; the server shows them as
// one more stream, and the page measures the age of what it shows with its own clock.
const WIDEST = 640, QUALITY = 0.8, AT_ONCE = 2, LEAST_MS = 30;

export class OwnCamera {
  constructor({ begun, ended }) { Object.assign(this, { begun, ended, name: "", running: false }); }

  async start(style) {
    if (!navigator.mediaDevices) throw new Error("The browser gives a camera to https:// and localhost only. Open the page through one of them.");
    const media = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDEST }, facingMode: "user" }, audio: false });
    this.media = media;
    const video = document.createElement("video");
    Object.assign(video, { srcObject: media, muted: true, playsInline: true });
    await video.play();
    this.socket = new WebSocket(new URL("/api/v1/camera", location.href.replace(/^http/, "ws")));
    this.socket.onopen = () => { this.socket.send(JSON.stringify({ style })); };
    this.socket.onmessage = ({ data }) => this.hear(JSON.parse(data), video);
    this.socket.onclose = () => { if (this.running || !this.name) this.stop("The daemon let the camera go."); };
    this.running = true; this.waiting = this.number = 0; this.times = new Map();
  }

  hear(values, video) {
    if (values.error) return this.stop(values.error);
    if (values.name) { this.name = values.name; this.begun(values.name); this.send(video); }
    if (values.taken) this.waiting -= 1;
  }

  send(video) {
    if (!this.running) return;
    const again = () => setTimeout(() => this.send(video), LEAST_MS);
    if (this.waiting >= AT_ONCE || !video.videoWidth) return again();
    const scale = Math.min(1, WIDEST / video.videoWidth), canvas = this.canvas ??= document.createElement("canvas");
    const width = Math.round(video.videoWidth * scale / 2) * 2, height = Math.round(video.videoHeight * scale / 2) * 2;
    if (canvas.width !== width) Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(video, 0, 0, width, height);
    const captured = performance.now();
    canvas.toBlob(blob => {
      if (this.running && blob) { this.socket.send(blob); this.waiting += 1; this.times.set(++this.number, captured); this.times.delete(this.number - 100); }
      again();
    }, "image/jpeg", QUALITY);
  }

  age(number) { const captured = this.times.get(number); return captured && performance.now() - captured; }

  change(wish) { if (this.running) this.socket.send(JSON.stringify({ change: wish })); }

  stop(reason = "") {
    this.running = false; this.name = "";
    this.media?.getTracks().forEach(track => track.stop());
    this.socket?.close();
    this.ended(reason);
  }
}
