/**
 * Where a broadcast_sm goes: the value of broadcast_area_identifier (SMPP 5.0 §4.8.4.4). One octet of format, then at
 * most 100 octets of details:
 *
 * | octet | format        | details                                                                       |
 * |-------|---------------|-------------------------------------------------------------------------------|
 * | 0x00  | alias or name | the characters of it                                                          |
 * | 0x01  | ellipsoid arc | the shape as 3GPP TS 23.032 §7.3.7 lays it out: 13 octets                     |
 * | 0x02  | polygon       | the shape as 3GPP TS 23.032 §7.3.4 lays it out: 1 + 6 octets for each point   |
 *
 * A circle is an ellipsoid arc of the whole turn that begins at its centre.
 *
 * A shape is told in steps (latitude 1.2 m, longitude up to 2.4 m, radius 10 %, angles 2°): what is read back is within
 * one step. A radius is rounded up, so that nobody inside the circle is left out.
 */
import { FieldError } from '../errors.ts';

export interface Point {
  /** Degrees, −90 to 90. */
  latitude: number;
  /** Degrees, −180 to 180. */
  longitude: number;
}

export type BroadcastArea =
  /** What the SMSC calls the area: 1 to 100 characters of U+0001..U+00FF. */
  | { format: 'alias'; name: string }
  /** `radius` in metres, at most 1,806,627. */
  | { format: 'circle'; centre: Point; radius: number }
  | { format: 'ellipsoidArc'; arc: EllipsoidArc }
  /** 3 to 15 points, in their order along the edge. */
  | { format: 'polygon'; points: readonly Point[] }
  /** Read from a peer, of a format or shape that is not known. */
  | { format: 'other'; octet: number; details: Buffer };

/** The part of a ring between two angles (3GPP TS 23.032 §5.7). */
export interface EllipsoidArc {
  centre: Point;
  /** Metres from the centre to the ring, 0 to 327,675. */
  innerRadius: number;
  /** Metres across the ring, at most 1,806,627. */
  uncertaintyRadius: number;
  /** Degrees clockwise from north at which the arc begins, 0 up to 360. */
  offsetAngle: number;
  /** Degrees that it spans, above 0 to 360. */
  includedAngle: number;
  /** Per cent, 0 (not told) to 100. */
  confidence: number;
}

const FIELD = 'broadcast_area_identifier';
const DETAILS_MAX = 100;
const ALIAS = 0x00;
const ELLIPSOID_ARC = 0x01;
const POLYGON = 0x02;

/** The octet that a shape of 3GPP TS 23.032 begins with; the low half of a polygon's counts its points. */
const SHAPE_ARC = 0xa0;
const SHAPE_POLYGON = 0x50;
const ARC_LENGTH = 13;
const POINT_LENGTH = 6;
const POINTS_MIN = 3;
const POINTS_MAX = 15;

const STEPS_PER_QUARTER = 2 ** 23;
const STEPS_PER_TURN = 2 ** 24;
const RADIUS_STEP_M = 5;
const RADIUS_STEPS_MAX = 0xffff;
/** Metres: 1,806,627. */
const RADIUS_MAX = uncertaintyRadius(127);
const ANGLE_STEP = 2;
const ANGLE_STEPS_MAX = 179;

/** @throws FieldError when the area can't be told in this format. */
export function encodeArea(area: BroadcastArea): Buffer {
  switch (area.format) {
    case 'alias':
      return encodeAlias(area.name);
    case 'circle':
      return encodeArc({
        centre: area.centre,
        innerRadius: 0,
        uncertaintyRadius: area.radius,
        offsetAngle: 0,
        includedAngle: 360,
        confidence: 0,
      });
    case 'ellipsoidArc':
      return encodeArc(area.arc);
    case 'polygon':
      return encodePolygon(area.points);
    case 'other':
      check((area.octet & 0xff) === area.octet, 'has a format that is no octet');
      check(area.details.length <= DETAILS_MAX, `has more than ${DETAILS_MAX} octets of details`);
      return Buffer.concat([Buffer.from([area.octet]), area.details]);
    default:
      return area satisfies never;
  }
}

/** Undefined when there is not even a format. What can't be understood is `other`. */
export function decodeArea(value: Buffer): BroadcastArea | undefined {
  const octet = value[0];
  if (octet === undefined) return undefined;
  const details = value.subarray(1);
  const shape = details[0] ?? 0;
  if (octet === ALIAS) return { format: 'alias', name: details.toString('latin1') };
  const arc = octet === ELLIPSOID_ARC ? decodeArc(details) : undefined;
  if (arc !== undefined) {
    const whole = arc.innerRadius === 0 && arc.offsetAngle === 0 && arc.includedAngle === 360 && arc.confidence === 0;
    return whole
      ? { format: 'circle', centre: arc.centre, radius: arc.uncertaintyRadius }
      : { format: 'ellipsoidArc', arc };
  }
  const count = shape & 0x0f;
  if (
    octet === POLYGON &&
    (shape & 0xf0) === SHAPE_POLYGON &&
    count >= POINTS_MIN &&
    details.length >= 1 + count * POINT_LENGTH
  ) {
    return {
      format: 'polygon',
      points: Array.from({ length: count }, (_, i) => readPoint(details, 1 + i * POINT_LENGTH)),
    };
  }
  return { format: 'other', octet, details };
}

function encodeAlias(name: string): Buffer {
  check(name.length >= 1 && name.length <= DETAILS_MAX, `has a name that is not 1..${DETAILS_MAX} characters long`);
  for (let i = 0; i < name.length; i++) {
    const unit = name.charCodeAt(i);
    check(unit > 0 && unit <= 0xff, 'has a name with a character outside U+0001..U+00FF');
  }
  return Buffer.concat([Buffer.from([ALIAS]), Buffer.from(name, 'latin1')]);
}

function encodeArc(arc: EllipsoidArc): Buffer {
  const out = Buffer.alloc(1 + ARC_LENGTH);
  out[0] = ELLIPSOID_ARC;
  out[1] = SHAPE_ARC;
  writePoint(out, 2, arc.centre);
  check(
    arc.innerRadius >= 0 && arc.innerRadius <= RADIUS_STEP_M * RADIUS_STEPS_MAX,
    `has an inner radius outside 0..${RADIUS_STEP_M * RADIUS_STEPS_MAX} m`,
  );
  out.writeUInt16BE(Math.floor(arc.innerRadius / RADIUS_STEP_M), 8);
  out[10] = uncertaintySteps(arc.uncertaintyRadius);
  check(arc.offsetAngle >= 0 && arc.offsetAngle < 360, 'has an offset angle outside 0..360');
  out[11] = Math.floor(arc.offsetAngle / ANGLE_STEP);
  check(arc.includedAngle > 0 && arc.includedAngle <= 360, 'has an included angle that is not above 0 and up to 360');
  out[12] = Math.max(1, Math.ceil(arc.includedAngle / ANGLE_STEP)) - 1;
  check(
    Number.isInteger(arc.confidence) && arc.confidence >= 0 && arc.confidence <= 100,
    'has a confidence that is not a whole per cent of 0..100',
  );
  out[13] = arc.confidence;
  return out;
}

function decodeArc(details: Buffer): EllipsoidArc | undefined {
  const [shape, offsetAngle, includedAngle] = [details[0] ?? 0, details[10] ?? 0, details[11] ?? 0];
  if (details.length < ARC_LENGTH || (shape & 0xf0) !== SHAPE_ARC) return undefined;
  if (offsetAngle > ANGLE_STEPS_MAX || includedAngle > ANGLE_STEPS_MAX) return undefined;
  return {
    centre: readPoint(details, 1),
    innerRadius: details.readUInt16BE(7) * RADIUS_STEP_M,
    uncertaintyRadius: uncertaintyRadius((details[9] as number) & 0x7f),
    offsetAngle: offsetAngle * ANGLE_STEP,
    includedAngle: (includedAngle + 1) * ANGLE_STEP,
    confidence: (details[12] as number) & 0x7f,
  };
}

function encodePolygon(points: readonly Point[]): Buffer {
  check(points.length >= POINTS_MIN && points.length <= POINTS_MAX, `has not ${POINTS_MIN}..${POINTS_MAX} points`);
  const out = Buffer.alloc(2 + points.length * POINT_LENGTH);
  out[0] = POLYGON;
  out[1] = SHAPE_POLYGON | points.length;
  points.forEach((point, i) => {
    writePoint(out, 2 + i * POINT_LENGTH, point);
  });
  return out;
}

/** Latitude as sign and 23 bits, longitude as two's complement of 24 (3GPP TS 23.032 §6.1). */
function writePoint(out: Buffer, at: number, { latitude, longitude }: Point): void {
  check(latitude >= -90 && latitude <= 90, 'has a latitude outside -90..90');
  check(longitude >= -180 && longitude <= 180, 'has a longitude outside -180..180');
  const north = Math.min(STEPS_PER_QUARTER - 1, Math.floor((Math.abs(latitude) / 90) * STEPS_PER_QUARTER));
  out.writeUIntBE(latitude < 0 ? north + STEPS_PER_QUARTER : north, at, 3);
  const east = Math.min(STEPS_PER_TURN / 2 - 1, Math.floor((longitude / 360) * STEPS_PER_TURN));
  out.writeIntBE(east, at + 3, 3);
}

/** The middle of the step: half a step from anything that it stands for. */
function readPoint(details: Buffer, at: number): Point {
  const latitude = details.readUIntBE(at, 3);
  const north = latitude % STEPS_PER_QUARTER;
  const degrees = ((north + 0.5) / STEPS_PER_QUARTER) * 90;
  return {
    latitude: latitude >= STEPS_PER_QUARTER ? -degrees : degrees,
    longitude: ((details.readIntBE(at + 3, 3) + 0.5) / STEPS_PER_TURN) * 360,
  };
}

/** r = 10 (1.1^K − 1) metres for K of 0..127 (3GPP TS 23.032 §6.2). */
function uncertaintyRadius(steps: number): number {
  return 10 * (1.1 ** steps - 1);
}

/** The smallest K whose radius is not below this one, but for the last bits of the arithmetic. */
function uncertaintySteps(radius: number): number {
  check(radius >= 0 && radius <= RADIUS_MAX, `has a radius outside 0..${Math.floor(RADIUS_MAX)} m`);
  let steps = Math.floor(Math.log(radius / 10 + 1) / Math.log(1.1));
  while (uncertaintyRadius(steps) < radius * (1 - 1e-9)) steps++;
  return steps;
}

function check(holds: boolean, rule: string): void {
  if (!holds) throw new FieldError(FIELD, rule);
}
