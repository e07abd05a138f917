/** What a receipt of a submit_sm belongs to: made when the carrier names its message, kept until its receipts have come. */
import type { NoRoute } from '../policy/index.ts';
import { BySegment, SegmentSet } from './by-segment.ts';
import { rankOf } from './place.ts';
import type { Elsewhere, Match, ReceiptIndex, Track } from './receipts.ts';
import type { Item } from './types.ts';
import type { Sent } from './wire.ts';

/** Where an item may go once when the carrier has no way to its number. */
type SecondRoute = (item: Item) => NoRoute | null;

export function matchOf(sent: Sent, messageId: string, receipts: ReceiptIndex, secondRoute: SecondRoute): Match {
  const { item, segment } = sent;
  sent.track ??=
    item.parts.length === 1
      ? newTrack(item, secondRoute)
      : receipts.longText(item.id, () => newTrack(item, secondRoute));
  return { track: sent.track, attempt: item.chunk.attempt, segment, sentAt: sent.at, shard: item.chunk.id, messageId };
}

function newTrack(item: Item, secondRoute: SecondRoute): Track {
  return {
    day: item.chunk.day,
    delivery: item.id,
    segments: item.parts.length,
    alert: item.alert,
    counted: item.counted,
    secretBody: item.secret && !item.counted ? item.body : null,
    accepted: new SegmentSet(),
    finals: new BySegment(),
    final: null,
    elsewhere: elsewhereOf(item, secondRoute),
    moved: false,
  };
}

/** A text of several parts is not taken back from a carrier that delivered some of them. */
function elsewhereOf(item: Item, secondRoute: SecondRoute): Elsewhere | null {
  const second = item.parts.length === 1 ? secondRoute(item) : null;
  if (second === null || second.errors.size === 0) return null;
  const { route, errors } = second;
  return { route, errors, lane: item.chunk.lane, rank: rankOf(item.chunk.priority), expiresAt: item.expiresAt };
}
