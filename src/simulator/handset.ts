/** Messages that start at a handset (MO): what is asked for, and the deliver_sm that carry them. */
import { z } from 'zod';
import type { DeliverSm } from '../smpp/index.ts';

const octet = z.number().int().min(0).max(255);
const address = z.string().regex(/^[\x20-\x7e]{1,20}$/, 'is not 1 to 20 characters of ASCII');

export const handsetMessageSchema = z
  .strictObject({
    /** The handset. */
    from: address,
    /** The ESME's number or short code. */
    to: address,
    /** Sent as it is where all of it is ASCII, else as UCS-2; in parts with a user data header where it is long. */
    text: z.string().max(10_000).optional(),
    /** The octets of short_message, in place of a text. */
    hex: z
      .string()
      .regex(/^([0-9a-f]{2}){0,254}$/i, 'is not up to 254 octets in hexadecimal')
      .optional(),
    dataCoding: octet.optional(),
    esmClass: octet.default(0),
    fromTon: octet.default(1),
    fromNpi: octet.default(1),
    toTon: octet.default(0),
    toNpi: octet.default(1),
    serviceType: z.string().max(5).default(''),
    tlvs: z
      .array(z.strictObject({ tag: z.number().int().min(0).max(0xffff), hex: z.string().regex(/^([0-9a-f]{2})*$/i) }))
      .max(100)
      .default([]),
  })
  .refine((message) => (message.text === undefined) !== (message.hex === undefined), {
    path: ['text'],
    error: 'a message has exactly one of text and hex',
  });
export type HandsetMessage = z.output<typeof handsetMessageSchema>;
export type HandsetMessageInput = z.input<typeof handsetMessageSchema>;

const ucs2 = 8;
const udhIndicator = 0x40;
const singleOctets = 140;
/** Beside a user data header of six octets; even, so that no UCS-2 unit is split. */
const partOctets = 134;
const partsMax = 255;

/** @param reference 0..255, of a message in parts */
export function handsetPdus(message: HandsetMessage, reference: number): DeliverSm[] {
  const { text, hex, dataCoding } = message;
  if (text === undefined) return [deliverSm(message, Buffer.from(hex ?? '', 'hex'), dataCoding ?? 0, 0)];
  const plain = /^[\x20-\x7e\r\n]*$/.test(text);
  const octets = plain ? Buffer.from(text, 'latin1') : Buffer.from(text, 'utf16le').swap16();
  const coding = dataCoding ?? (plain ? 0 : ucs2);
  if (octets.length <= singleOctets) return [deliverSm(message, octets, coding, 0)];
  const total = Math.min(partsMax, Math.ceil(octets.length / partOctets));
  return Array.from({ length: total }, (_, i) => {
    const header = Buffer.from([5, 0, 3, reference, total, i + 1]);
    const part = octets.subarray(i * partOctets, (i + 1) * partOctets);
    return deliverSm(message, Buffer.concat([header, part]), coding, udhIndicator);
  });
}

function deliverSm(message: HandsetMessage, shortMessage: Buffer, dataCoding: number, esmClass: number): DeliverSm {
  return {
    serviceType: message.serviceType,
    sourceTon: message.fromTon,
    sourceNpi: message.fromNpi,
    sourceAddr: message.from,
    destTon: message.toTon,
    destNpi: message.toNpi,
    destAddr: message.to,
    esmClass: message.esmClass | esmClass,
    protocolId: 0,
    priorityFlag: 0,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 0,
    replaceIfPresent: 0,
    dataCoding,
    smDefaultMsgId: 0,
    shortMessage,
    tlvs: message.tlvs.map(({ tag, hex }) => ({ tag, value: Buffer.from(hex, 'hex') })),
  };
}
