/**
 * All PDUs but the four hot ones, through the codec and tables of the `smpp` package. Of that package nothing else is
 * used: its Session has no timeouts, no window, and stops reading for ever after one bad PDU.
 */
import smpp from 'smpp';
import { Command, RESPONSE_BIT } from './commands.ts';
import { FieldError, PduError } from './errors.ts';
import { readUint32 } from './pdu.ts';
import { Status } from './status.ts';

export interface ColdPdu {
  /** The standard's name, `bind_transceiver_resp`; `unknown` when there is none for the command_id. */
  command: string;
  commandId: number;
  status: number;
  sequence: number;
  /** Mandatory fields and TLVs by the standard's names, as the `smpp` package decodes them. */
  fields: Readonly<Record<string, unknown>>;
}

const HEADER_FIELDS = new Set(['command', 'command_length', 'command_id', 'command_status', 'sequence_number']);

/**
 * Without a body when `status` is not 0.
 * @param command the standard's name.
 * @throws FieldError when the command is unknown or a field can't be carried.
 */
export function encodeCold(
  command: string,
  sequence: number,
  fields: Readonly<Record<string, unknown>> = {},
  status: number = Status.ok,
): Buffer {
  if (smpp.commands[command] === undefined) throw new FieldError('command', 'is not one of SMPP');
  try {
    return new smpp.PDU(command, { ...fields, command_status: status, sequence_number: sequence }).toBuffer();
  } catch {
    throw new FieldError(command, 'holds a field that can not be encoded');
  }
}

/** @throws PduError when the body is malformed. */
export function decodeCold(buffer: Buffer, offset: number, length: number): ColdPdu {
  const commandId = readUint32(buffer, offset + 4);
  // Hidden from the package's rest-of-buffer reads: a field can't reach into the next PDU.
  const own = Buffer.from(buffer.subarray(offset, offset + length));
  try {
    const pdu = new smpp.PDU(own);
    const fields: Record<string, unknown> = Object.create(null);
    for (const key of Object.keys(pdu)) if (!HEADER_FIELDS.has(key)) fields[key] = pdu[key];
    return { command: pdu.command, commandId, status: pdu.command_status, sequence: pdu.sequence_number, fields };
  } catch {
    throw new PduError('malformed', commandName(commandId), Status.invalidCommandLength);
  }
}

/** `submit_sm`; `unknown` when there is no such command. */
export function commandName(commandId: number): string {
  return smpp.commandsById[commandId]?.command ?? 'unknown';
}

/** The command_id of a request's response; null when it is unknown or, as alert_notification and outbind, has none. */
export function responseIdOf(commandId: number): number | null {
  const name = smpp.commandsById[commandId]?.command;
  if (name === undefined) return null;
  return smpp.commands[`${name}_resp`] === undefined ? null : (commandId | RESPONSE_BIT) >>> 0;
}

// bind -------------------------------------------------------------------------------------------------------------

export type BindMode = 'transceiver' | 'transmitter' | 'receiver';

/** What an ESME says of itself (SMPP 3.4 §4.1). */
export interface BindRequest {
  mode: BindMode;
  systemId: string;
  password: string;
  systemType: string;
  /** 0x34 = SMPP 3.4. */
  interfaceVersion: number;
  addressTon: number;
  addressNpi: number;
  addressRange: string;
}

export interface BindAnswer {
  status: number;
  /** What the SMSC calls itself; '' when it says nothing. */
  systemId: string;
  /** TLV sc_interface_version; null when absent: then the SMSC may not know TLVs (SMPP 3.4 §2.11). */
  interfaceVersion: number | null;
}

export const BIND_COMMANDS: Record<BindMode, number> = {
  transceiver: Command.bindTransceiver,
  transmitter: Command.bindTransmitter,
  receiver: Command.bindReceiver,
};

/** The mode that a bind's command_id asks for; null when it is no bind. */
export function bindModeOf(commandId: number): BindMode | null {
  switch (commandId) {
    case Command.bindTransceiver:
      return 'transceiver';
    case Command.bindTransmitter:
      return 'transmitter';
    case Command.bindReceiver:
      return 'receiver';
    default:
      return null;
  }
}

/**
 * @throws FieldError when a field holds a character outside U+0001..U+007F. Lengths are left to the SMSC: many give
 * passwords longer than the standard's 8 characters.
 */
export function encodeBind(sequence: number, bind: BindRequest): Buffer {
  checkString('system_id', bind.systemId);
  checkString('password', bind.password);
  checkString('system_type', bind.systemType);
  checkString('address_range', bind.addressRange);
  return encodeCold(`bind_${bind.mode}`, sequence, {
    system_id: bind.systemId,
    password: bind.password,
    system_type: bind.systemType,
    interface_version: bind.interfaceVersion,
    addr_ton: bind.addressTon,
    addr_npi: bind.addressNpi,
    address_range: bind.addressRange,
  });
}

/** Missing fields read as empty. */
export function bindRequestOf(mode: BindMode, { fields }: ColdPdu): BindRequest {
  return {
    mode,
    systemId: text(fields.system_id),
    password: text(fields.password),
    systemType: text(fields.system_type),
    interfaceVersion: number(fields.interface_version) ?? 0,
    addressTon: number(fields.addr_ton) ?? 0,
    addressNpi: number(fields.addr_npi) ?? 0,
    addressRange: text(fields.address_range),
  };
}

export function bindAnswerOf({ status, fields }: ColdPdu): BindAnswer {
  return { status, systemId: text(fields.system_id), interfaceVersion: number(fields.sc_interface_version) };
}

function checkString(field: string, value: string): void {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit === 0 || unit > 0x7f) throw new FieldError(field, 'holds a character outside U+0001..U+007F');
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
