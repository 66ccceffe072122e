// Where Headwater posts the tags of what changed (a subscriber of the kind "Next.js").

import { timingSafeEqual } from "node:crypto";
import { revalidatePath, revalidateTag } from "next/cache";

type Purge = { tags: string[]; everything?: boolean };

function known(presented: string | null): boolean {
  const wanted = Buffer.from(`Bearer ${process.env.HEADWATER_SECRET}`);
  const given = Buffer.from(presented ?? "");
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

export async function POST(request: Request): Promise<Response> {
  if (!known(request.headers.get("authorization"))) {
    return Response.json({ error: "the secret is wrong" }, { status: 401 });
  }
  const { tags, everything }: Purge = await request.json();
  // expire: 0, because whoever asks next shall wait for the new page, and not get the old one once more.
  for (const tag of tags) revalidateTag(tag, { expire: 0 });
  if (everything) revalidatePath("/", "layout");
  return Response.json({ revalidated: tags.length, everything: everything ?? false });
}
