"""From a committed batch to every open page: frames, their announcer, and catch-up."""
