// The `smpp` package ships no types. These cover what is used of it: its names of command_status, and its codec as a
// second opinion in tests, never its Session.
declare module 'smpp' {
  interface PduFields {
    [field: string]: unknown;
  }

  interface PackagePdu extends PduFields {
    command: string;
    command_length: number;
    command_id: number;
    command_status: number;
    sequence_number: number;
    toBuffer(): Buffer;
    isResponse(): boolean;
  }

  interface PduConstructor {
    /** Decodes; throws plain Errors and RangeErrors on malformed bytes. */
    new (buffer: Buffer): PackagePdu;
    /** With a command_status other than 0 the PDU has no body. */
    new (command: string, options?: PduFields): PackagePdu;
    maxLength: number;
  }

  interface CommandDefinition {
    id: number;
    command: string;
    params?: Record<string, unknown>;
  }

  interface TlvDefinition {
    id: number;
    tag: string;
    multiple?: boolean;
  }

  const smpp: {
    PDU: PduConstructor;
    commands: Record<string, CommandDefinition>;
    commandsById: Record<number, CommandDefinition>;
    tlvs: Record<string, TlvDefinition>;
    tlvsById: Record<number, TlvDefinition>;
    /** Names of command_status values, `ESME_ROK` and on. */
    errors: Record<string, number>;
    consts: Record<string, Record<string, number>>;
    /** The TLV value types, for `addTLV`. */
    types: { tlv: Record<string, unknown> };
    addTLV(tag: string, options: { id: number; type: unknown; multiple?: boolean }): void;
  };
  export = smpp;
}
