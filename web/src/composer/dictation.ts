/**
 * Speech to text: the microphone is recorded here and the server writes down what was said. The
 * microphone is held only while it is recorded.
 */
import { html, type TemplateResult } from 'lit';
import { styled } from '../controls/styled.js';
import { isAbort } from '../errors.js';
import type { MessageKey, Translate } from '../locales.js';
import css from './dictation.css';

export const styles = css;

/** In the order of preference; the protocol names these. */
const TYPES = ['audio/webm;codecs=opus', 'audio/webm', 'audio/ogg;codecs=opus', 'audio/mp4'];
/** A microphone that was forgotten is not recorded for ever. */
const MAX_LENGTH = 5 * 60_000;
const BARS = 4;

export interface DictationHost {
  transcribe(
    audio: { audio_base64: string; mime_type: string },
    signal: AbortSignal,
  ): Promise<{ text: string }>;
  heard(text: string): void;
  failed(message: MessageKey, error: unknown): void;
  changed(): void;
}

export class Dictation {
  readonly #host: DictationHost;
  #state: 'idle' | 'starting' | 'recording' | 'transcribing' = 'idle';
  #scope = new AbortController();
  #recorder: MediaRecorder | null = null;
  #levels: number[] = [];

  constructor(host: DictationHost) {
    this.#host = host;
  }

  get state(): 'idle' | 'starting' | 'recording' | 'transcribing' {
    return this.#state;
  }

  async toggle(): Promise<void> {
    if (this.#state === 'idle') await this.#record();
    else if (this.#state === 'recording') this.#recorder?.stop();
    else if (this.#state === 'starting') this.cancel();
  }

  /** Ends it and forgets what was said; false when there is nothing to end. */
  cancel(): boolean {
    if (this.#state === 'idle') return false;
    this.#scope.abort();
    this.#enter('idle');
    return true;
  }

  render(t: Translate): TemplateResult {
    const level = (index: number): number => this.#levels.at(index - BARS) ?? 0;
    return html`<span class="dictating" role="status">
      <span class="sr-only">${t(this.#state === 'transcribing' ? 'dictate.transcribing' : 'dictate.recording')}</span>
      ${
        this.#state === 'transcribing'
          ? html`<span class="spinner" aria-hidden="true"></span>`
          : html`<span class="levels" aria-hidden="true">${Array.from(
              { length: BARS },
              (_, index) => html`<i ${styled({ '--level': String(level(index)) })}></i>`,
            )}</span>`
      }
    </span>`;
  }

  #enter(state: Dictation['state']): void {
    this.#state = state;
    this.#host.changed();
  }

  async #record(): Promise<void> {
    const mimeType = globalThis.MediaRecorder
      ? TYPES.find((type) => MediaRecorder.isTypeSupported(type))
      : undefined;
    if (!mimeType || !navigator.mediaDevices) {
      this.#host.failed('dictate.unsupported', null);
      return;
    }
    this.#scope = new AbortController();
    const { signal } = this.#scope;
    this.#enter('starting');
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      if (signal.aborted) return;
      this.#enter('idle');
      const refused = error instanceof Error && /NotAllowed|Security/.test(error.name);
      this.#host.failed(refused ? 'dictate.refused' : 'dictate.microphone', error);
      return;
    }
    const release = (): void => {
      for (const track of stream.getTracks()) track.stop();
    };
    if (signal.aborted) {
      release();
      return;
    }
    this.#listen(stream, mimeType, signal, release);
  }

  #listen(stream: MediaStream, mimeType: string, signal: AbortSignal, release: () => void): void {
    const recorder = new MediaRecorder(stream, { mimeType });
    const pieces: Blob[] = [];
    const unmeter = this.#meter(stream);
    const limit = setTimeout(() => recorder.stop(), MAX_LENGTH);
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    signal.addEventListener('abort', () => recorder.state !== 'inactive' && recorder.stop());
    recorder.onerror = () => {
      this.cancel();
      this.#host.failed('dictate.microphone', null);
    };
    recorder.onstop = () => {
      clearTimeout(limit);
      unmeter();
      release();
      this.#recorder = null;
      if (!signal.aborted) void this.#transcribe(new Blob(pieces, { type: mimeType }), signal);
    };
    this.#recorder = recorder;
    recorder.start();
    this.#enter('recording');
  }

  async #transcribe(audio: Blob, signal: AbortSignal): Promise<void> {
    this.#enter('transcribing');
    try {
      const audio_base64 = await base64(audio);
      const { text } = await this.#host.transcribe({ audio_base64, mime_type: audio.type }, signal);
      if (signal.aborted) return;
      this.#enter('idle');
      if (text?.trim()) this.#host.heard(text.trim());
      else this.#host.failed('dictate.nothing', null);
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      this.#enter('idle');
      this.#host.failed('dictate.failed', error);
    }
  }

  /** Shows how loud it is, about ten times a second. Returns what ends it. */
  #meter(stream: MediaStream): () => void {
    if (!globalThis.AudioContext) return () => undefined;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.#levels = [];
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      // Speech lies between -50 and -10 dB.
      const level = (10 * Math.log10(power + 1e-9) + 50) / 40;
      this.#levels = [...this.#levels, Math.min(1, Math.max(0, level))].slice(-BARS);
      this.#host.changed();
    }, 100);
    return () => {
      clearInterval(timer);
      void context.close();
    };
  }
}

async function base64(blob: Blob): Promise<string> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(';base64,') + 8);
}
