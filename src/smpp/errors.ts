/**
 * The errors of the SMPP layer. The class says what the caller must do:
 *
 * | class        | thrown by                      | meaning                                               |
 * |--------------|--------------------------------|-------------------------------------------------------|
 * | `FrameError` | framing                        | the byte stream is not SMPP: the session must end     |
 * | `PduError`   | decoders                       | one PDU is malformed: answer its status, live on      |
 * | `FieldError` | encoders, times, correlation   | the caller's value can't be carried: no byte has left |
 * | `TextError`  | text and segmentation          | the text can't be carried: no byte has left           |
 * | `BindError`  | opening a session              | the session did not come up, and why                  |
 *
 * No message holds a text, an address or a password: they may be logged as they are.
 */
export abstract class SmppError extends Error {
  abstract readonly code: string;
}

export class FrameError extends SmppError {
  readonly code = 'length-out-of-range';
  /** The command_length that was read. Foreign protocols show here: `HTTP` is 0x48545450. */
  readonly commandLength: number;

  constructor(commandLength: number, longest: number) {
    super(`command_length 0x${commandLength.toString(16).padStart(8, '0')} is outside 16..${longest}`);
    this.name = 'FrameError';
    this.commandLength = commandLength;
  }
}

export type PduErrorCode = 'unterminated-string' | 'truncated' | 'short-message-length' | 'tlv-stream' | 'malformed';

export class PduError extends SmppError {
  readonly code: PduErrorCode;
  /** The field at which decoding stopped, in the standard's spelling. */
  readonly field: string;
  /** The command_status to answer the PDU with (SMPP 3.4 §5.1.3). */
  readonly status: number;

  constructor(code: PduErrorCode, field: string, status: number) {
    super(`${code} at ${field}`);
    this.name = 'PduError';
    this.code = code;
    this.field = field;
    this.status = status;
  }
}

export class FieldError extends SmppError {
  readonly code = 'field-out-of-range';
  /** The field, in the standard's spelling. */
  readonly field: string;
  readonly rule: string;

  constructor(field: string, rule: string) {
    super(`${field} ${rule}`);
    this.name = 'FieldError';
    this.field = field;
    this.rule = rule;
  }
}

export type TextErrorCode = 'not-in-alphabet' | 'not-well-formed' | 'too-many-parts';

/** The character that could not be carried. Part of the text: not for the log. */
export interface Culprit {
  readonly character: string;
  readonly codePoint: number;
  /** How many code points are before it. */
  readonly position: number;
}

export class TextError extends SmppError {
  readonly code: TextErrorCode;
  /** Null when the fault is not in one character. */
  readonly culprit: Culprit | null;

  constructor(code: TextErrorCode, message: string, culprit: Culprit | null = null) {
    super(message);
    this.name = 'TextError';
    this.code = code;
    this.culprit = culprit;
  }
}

export type BindErrorCode =
  | 'connect-failed'
  | 'connect-timeout'
  /** The message says what is wrong with which certificate, and what to do. */
  | 'tls-failed'
  | 'bind-timeout'
  | 'bind-refused'
  /** An SMSC that connected to us did not say who it is, or not rightly. */
  | 'no-outbind'
  | 'closed';

export class BindError extends SmppError {
  readonly code: BindErrorCode;
  /** The command_status of the answer when `code` is `bind-refused`, else null. */
  readonly status: number | null;

  constructor(code: BindErrorCode, message: string, status: number | null = null) {
    super(message);
    this.name = 'BindError';
    this.code = code;
    this.status = status;
  }
}
