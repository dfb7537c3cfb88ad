// The viewer's own camera. By WebRTC (WHIP) where the daemon has it, else, or where no connection
// comes about, as JPEG over a WebSocket, at most two pictures on their way. The server shows it as
// one more stream. How old a picture is, JPEG tells by this page's own clock; WebRTC by the
// daemon's, and the way there is added, half of what the connection measures to and fro.
const WIDEST = 640, QUALITY = 0.8, AT_ONCE = 2, LEAST_MS = 30, CONNECT_MS = 4000;

class Refused extends Error {}

class Whip {
  async open(media, style) {
    const peer = this.peer = new RTCPeerConnection();
    // Another size would be another engine: when the line is slow, fewer frames instead.
    for (const track of media.getVideoTracks()) track.contentHint = "detail", peer.addTransceiver(track, { direction: "sendonly", streams: [media] });
    await peer.setLocalDescription(await peer.createOffer());
    await until(CONNECT_MS, done => { if (peer.iceGatheringState === "complete") done(); else peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done(); });
    const answer = await fetch("/whip", { method: "POST", body: peer.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
    if (!answer.ok) throw new Refused((await answer.json().catch(() => ({}))).error || answer.statusText);
    this.place = answer.headers.get("Location");
    await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    await until(CONNECT_MS, (done, failed) => { peer.onconnectionstatechange = () => peer.connectionState === "connected" ? done() : peer.connectionState === "failed" && failed(); });
    peer.onconnectionstatechange = () => ["failed", "closed"].includes(peer.connectionState) && this.ended?.("The connection of the camera was lost.");
    this.timer = setInterval(() => this.measure(), 1000);
    await this.change({ style });
    return answer.headers.get("X-Stream");
  }

  async measure() {
    for (const report of (await this.peer.getStats()).values())
      if (report.type === "candidate-pair" && report.nominated) this.way = 500 * (report.currentRoundTripTime ?? 0);
  }

  age(number, age) { return age + (this.way ?? 0); }

  change(wish) { return fetch(this.place, { method: "PATCH", body: JSON.stringify(wish), headers: { "Content-Type": "application/json" } }); }

  close() {
    this.ended = null; clearInterval(this.timer); this.peer.close();
    if (this.place) fetch(this.place, { method: "DELETE", keepalive: true });
  }
}

class Pictures {
  async open(media, style) {
    const video = this.video = document.createElement("video");
    Object.assign(video, { srcObject: media, muted: true, playsInline: true });
    await video.play();
    this.waiting = this.number = 0; this.times = new Map();
    const socket = this.socket = new WebSocket(new URL("/api/v1/camera", location.href.replace(/^http/, "ws")));
    return new Promise((done, failed) => {
      socket.onopen = () => socket.send(JSON.stringify({ style }));
      socket.onclose = () => { failed(new Error("The daemon let the camera go.")); this.ended?.("The daemon let the camera go."); };
      socket.onmessage = ({ data }) => {
        const values = JSON.parse(data);
        if (values.error) { failed(new Error(values.error)); this.ended?.(values.error); }
        if (values.name) { done(values.name); this.send(); }
        if (values.taken) this.waiting -= 1;
      };
    });
  }

  send() {
    const { socket, video } = this, again = () => setTimeout(() => this.send(), LEAST_MS);
    if (socket.readyState !== WebSocket.OPEN) return;
    if (this.waiting >= AT_ONCE || !video.videoWidth) { again(); return; }
    const scale = Math.min(1, WIDEST / video.videoWidth), canvas = this.canvas ??= document.createElement("canvas");
    const width = Math.round(video.videoWidth * scale / 2) * 2, height = Math.round(video.videoHeight * scale / 2) * 2;
    if (canvas.width !== width) Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(video, 0, 0, width, height);
    const captured = performance.now();
    canvas.toBlob(blob => {
      if (blob && socket.readyState === WebSocket.OPEN) { socket.send(blob); this.waiting += 1; this.times.set(++this.number, captured); this.times.delete(this.number - 100); }
      again();
    }, "image/jpeg", QUALITY);
  }

  age(number, age) { const captured = this.times.get(number); return captured ? performance.now() - captured : age; }

  change(wish) { this.socket.send(JSON.stringify({ change: wish })); }

  close() { this.ended = null; this.socket?.close(); }
}

export class OwnCamera {
  constructor({ begun, ended }) { Object.assign(this, { begun, ended, name: "", way: null, running: false }); }

  async start(style, webrtc) {
    if (!navigator.mediaDevices) throw new Error("The browser gives a camera to https:// and localhost only. Open the page through one of them.");
    this.media = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: WIDEST }, facingMode: "user" }, audio: false });
    this.running = true;
    try {
      this.name = await this.connect(style, webrtc && "RTCPeerConnection" in window ? [Whip, Pictures] : [Pictures]);
    } catch (error) { this.stop(); throw error; }
    this.way.ended = reason => this.stop(reason);
    this.begun(this.name);
  }

  async connect(style, ways) {
    for (const Way of ways) {
      const way = this.way = new Way();
      try { return await way.open(this.media, style); } catch (error) {
        way.close();
        if (error instanceof Refused || Way === ways.at(-1)) throw error;
      }
    }
  }

  get kind() { return this.way instanceof Whip ? "WebRTC" : "JPEG"; }

  age(number, age) { return this.way.age(number, age); }

  change(wish) { if (this.running) this.way.change(wish); }

  stop(reason = "") {
    this.running = false; this.name = "";
    this.media?.getTracks().forEach(track => track.stop());
    this.way?.close();
    this.ended(reason);
  }
}

function until(limit, begin) {
  return new Promise((done, failed) => { begin(done, failed); setTimeout(() => failed(new Error("No connection.")), limit); });
}
