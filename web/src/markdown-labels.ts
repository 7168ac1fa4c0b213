/** Words that a rendered text needs. */
export interface MarkdownLabels {
  copy: string;
  code: string;
}
