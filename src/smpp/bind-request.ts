/** What is said in a bind, and in the answer to it. */
import { FieldError } from './errors.ts';
import { encodeByTable } from './pdus/codec.ts';
import { cstring, type Field } from './pdus/fields.ts';
import { type Descriptor, PDUS, type Pdu, type PduOf } from './pdus/table.ts';
import { readTlv } from './pdus/tlvs.ts';
import { Status } from './status.ts';

export type BindMode = 'transceiver' | 'transmitter' | 'receiver';
export type BindCommand = `bind_${BindMode}`;

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
  /** What the SMSC calls itself; '' when it says nothing. */
  systemId: string;
  /** TLV sc_interface_version; null when absent: then the SMSC may not know TLVs (SMPP 3.4 §2.11). */
  interfaceVersion: number | null;
}

const MODES: Readonly<Record<BindCommand, BindMode>> = {
  bind_transceiver: 'transceiver',
  bind_transmitter: 'transmitter',
  bind_receiver: 'receiver',
};

/** A bind of strings of any length. */
const LONG_BIND: Descriptor = {
  ...PDUS.bind_transceiver,
  fields: (PDUS.bind_transceiver.fields as readonly Field<string, unknown>[]).map((field) =>
    typeof field.kind.absent === 'string'
      ? { ...field, kind: cstring(Number.MAX_SAFE_INTEGER) as Field<string, unknown>['kind'] }
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
  const descriptor = { ...LONG_BIND, id: PDUS[`bind_${mode}`].id };
  return encodeByTable(descriptor, { ...fields, status: Status.ok, sequence, tlvs: [] });
}

export function isBind(pdu: Pdu): pdu is PduOf<BindCommand> {
  return Object.hasOwn(MODES, pdu.command);
}

export function bindRequestOf(bind: PduOf<BindCommand>): BindRequest {
  const { command, status: _status, sequence: _sequence, tlvs: _tlvs, ...said } = bind;
  return { mode: MODES[command], ...said };
}

export function bindAnswerOf(answer: PduOf<`${BindCommand}_resp`>): BindAnswer {
  return { systemId: answer.systemId, interfaceVersion: readTlv(answer, 'sc_interface_version') ?? null };
}

function checkString(field: string, value: string): void {
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit === 0 || unit > 0x7f) throw new FieldError(field, 'holds a character outside U+0001..U+007F');
  }
}
