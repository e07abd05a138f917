/**
 * PDUs by the standard's names, for who handles them without knowing them one by one, and what is said in a bind. The
 * typed door is `pdus/codec.ts`.
 */
import { Command, RESPONSE_BIT, SEQUENCE_OFFSET } from './commands.ts';
import { FieldError } from './errors.ts';
import { readUint32, type Tlv, writeUint32 } from './octets.ts';
import { type ByName, decodePdu, encodeByTable, encodePdu, pduOf } from './pdus/codec.ts';
import { cstring, type Field } from './pdus/fields.ts';
import { commandOf, type Descriptor, isCommand, PDUS, type Pdu } from './pdus/table.ts';
import { readTlv, TLVS, type TlvName, tlv, tlvName } from './pdus/tlvs.ts';
import { Status } from './status.ts';

export interface ColdPdu {
  /** The standard's name, `bind_transceiver_resp`; `unknown` when there is none for the command_id. */
  command: string;
  commandId: number;
  status: number;
  sequence: number;
  /** Mandatory fields and the first TLV of each name, by the standard's names. */
  fields: Readonly<Record<string, unknown>>;
}

type AnyField = Field<string, unknown>;

/**
 * Without a body when `status` is not 0 and there are no TLVs. Fields that are left out are empty.
 * @param command the standard's name.
 * @param sequence 0 for one that is filled in when it is sent.
 * @param fields mandatory fields and TLVs by the standard's names, their values as `PduOf` and `TlvValue` have them.
 * @throws FieldError when the command or a name is unknown, or a field can't be carried.
 */
export function encodeCold(
  command: string,
  sequence: number,
  fields: Readonly<Record<string, unknown>> = {},
  status: number = Status.ok,
): Buffer {
  if (!isCommand(command)) throw new FieldError('command', 'is not one of SMPP');
  const pdu = pduOf(command, { status, sequence: Math.max(1, sequence) }) as unknown as ByName;
  const tlvs: Tlv[] = [];
  try {
    for (const [name, value] of Object.entries(fields)) {
      const known = (PDUS[command].fields as readonly AnyField[]).find(({ standard }) => standard === name);
      if (known !== undefined) pdu[known.name] = value;
      else if (Object.hasOwn(TLVS, name)) tlvs.push(tlv(name as TlvName, value as never));
      else throw new FieldError(name, `is no field of ${command}`);
    }
    const octets = encodePdu({ ...pdu, tlvs } as unknown as Pdu);
    writeUint32(octets, SEQUENCE_OFFSET, sequence);
    return octets;
  } catch (error) {
    // A value of another type than the field's: what comes by name has not met the compiler.
    throw error instanceof FieldError ? error : new FieldError(command, 'holds a value of the wrong type');
  }
}

/** @throws PduError when the body is malformed. */
export function decodeCold(buffer: Buffer, offset: number, length: number): ColdPdu {
  const pdu = decodePdu(buffer, offset, length);
  const fields: Record<string, unknown> = Object.create(null);
  const cold = { commandId: readUint32(buffer, offset + 4), status: pdu.status, sequence: pdu.sequence, fields };
  if (pdu.command === 'unknown') return { command: pdu.command, ...cold };
  const byName = pdu as unknown as ByName;
  for (const { name, standard } of PDUS[pdu.command].fields as readonly AnyField[]) fields[standard] = byName[name];
  for (const { tag } of pdu.tlvs) {
    const name = tlvName(tag);
    if (name !== null) fields[name] ??= readTlv(pdu, name);
  }
  return { command: pdu.command, ...cold };
}

/** `submit_sm`; `unknown` when there is no such command. */
export function commandName(commandId: number): string {
  return commandOf(commandId) ?? 'unknown';
}

/** The command_id of a request's response; null when it is unknown or, as alert_notification and outbind, has none. */
export function responseIdOf(commandId: number): number | null {
  const responseId = (commandId | RESPONSE_BIT) >>> 0;
  if (commandId === responseId || commandId === 0) return null;
  return commandOf(commandId) !== undefined && commandOf(responseId) !== undefined ? responseId : null;
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

/** A bind of strings of any length. */
const LONG_BIND: Descriptor = {
  ...PDUS.bind_transceiver,
  fields: (PDUS.bind_transceiver.fields as readonly AnyField[]).map((field) =>
    typeof field.kind.absent === 'string'
      ? { ...field, kind: cstring(Number.MAX_SAFE_INTEGER) as AnyField['kind'] }
      : field,
  ),
};

/**
 * @throws FieldError when a field holds a character outside U+0001..U+007F. Lengths are left to the SMSC: many give
 * passwords longer than the standard's 8 characters.
 */
export function encodeBind(sequence: number, bind: BindRequest): Buffer {
  const { mode, ...fields } = bind;
  checkString('system_id', bind.systemId);
  checkString('password', bind.password);
  checkString('system_type', bind.systemType);
  checkString('address_range', bind.addressRange);
  const descriptor = { ...LONG_BIND, id: BIND_COMMANDS[mode] };
  return encodeByTable(descriptor, { ...fields, status: Status.ok, sequence, tlvs: [] });
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
